// The order of the list that was shown last, so that one goes on from alert to alert.

let ids = [];

/** Remember the order of the list, the newest first. */
export function remember(list) {
  ids = list;
}

/** Return the ids of the alerts before and after one in the list; null where there is none. */
export function beside(id) {
  const at = ids.indexOf(id);
  return { newer: at > 0 ? ids[at - 1] : null, older: at >= 0 && at + 1 < ids.length ? ids[at + 1] : null };
}
