// What a person has begun to write or to set, kept in this tab until it is sent: a log-in that is over, another view
// or a page that is loaded again must not lose it.

const PREFIX = "patchedge.draft.";

/** Return what was kept under a name, or null. */
export function draftOf(name) {
  try { return JSON.parse(sessionStorage.getItem(PREFIX + name)); } catch { return null; }
}

/** Keep a value under a name; null, an empty text and an object without fields end it. */
export function keepDraft(name, value) {
  const empty = !value || (typeof value === "object" && !Object.keys(value).length);
  try {
    if (empty) sessionStorage.removeItem(PREFIX + name);
    else sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch { /* storage is off */ }
}
