// The order of the list that was shown last, so that one goes on from alert to alert, and back to it.

let ids = [];
let list = "";

/** Remember the order of the list, the newest first, and its address. */
export function remember(order, address) {
  ids = order;
  list = address;
}

/** Return the ids of the alerts before and after one in the list; null where there is none. */
export function beside(id) {
  const at = ids.indexOf(id);
  return { newer: at > 0 ? ids[at - 1] : null, older: at >= 0 && at + 1 < ids.length ? ids[at + 1] : null };
}

/** Return the address of the list: that which was shown last if the alert is in it, else all alerts, or those of a camera. */
export function listAddress(of = "", id = null) {
  if (id !== null && ids.includes(id)) return list;
  return of ? `#/alerts?of=${encodeURIComponent(of)}` : "#/alerts";
}

/** Return the address of an alert; with a camera, it is shown within that camera. */
export function alertAddress(id, of = "") {
  return `#/alerts/${encodeURIComponent(id)}${of ? `?of=${encodeURIComponent(of)}` : ""}`;
}
