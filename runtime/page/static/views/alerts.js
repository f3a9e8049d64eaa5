// Alerts: the list (#/alerts), or one of them (#/alerts/ID); with ?of=K those of one camera, within its tabs.

import { showAlert } from "./alerts/one.js";
import { showList } from "./alerts/list.js";

/** Show this view in an element. Return the function that ends it. */
export async function show(root, parameters) {
  return parameters.id ? showAlert(root, parameters.id, parameters.key) : showList(root, parameters.query);
}
