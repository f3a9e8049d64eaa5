// Alerts: the list (#/alerts), or one of them (#/alerts/ID).

import { showAlert } from "./alerts/one.js";
import { showList } from "./alerts/list.js";

/** Show this view in an element. Return the function that ends it. */
export async function show(root, parameters) {
  return parameters.id ? showAlert(root, parameters.id) : showList(root, parameters.query);
}
