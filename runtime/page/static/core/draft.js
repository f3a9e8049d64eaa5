// What a person has begun to write or to set, kept in this tab until it is sent: a log-in that is over, another view
// or a page that is loaded again must not lose it.

const PREFIX = "patchedge.draft.";

/** Return what was kept under a name, or null; also where it was begun on something else than `base`: it has changed since. */
export function draftOf(name, base) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PREFIX + name));
    return kept && (base === undefined || kept.base === undefined || kept.base === base) ? kept.value : null;
  } catch { return null; }
}

/** Keep a value under a name, begun on `base`, a text; null, an empty text and an object without fields end it. */
export function keepDraft(name, value, base) {
  const empty = !value || (typeof value === "object" && !Object.keys(value).length);
  try {
    if (empty) sessionStorage.removeItem(PREFIX + name);
    else sessionStorage.setItem(PREFIX + name, JSON.stringify({ value, base }));
  } catch { /* storage is off */ }
}
