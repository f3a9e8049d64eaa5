// Keys that work on a whole view, and the line on the page that names them.

import { h } from "../core/dom.js";
import { t } from "../core/words.js";

const TYPED = new Set(["INPUT", "TEXTAREA", "SELECT"]);

/**
 * Call actions by key, {j: function, ...}, until the returned function is called. Nothing happens while a person types,
 * while a window is open, or with Ctrl, Alt or Meta.
 */
export function onKeys(actions) {
  const listen = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (TYPED.has(event.target.tagName) && event.target.type !== "checkbox") return;
    if (document.querySelector("dialog[open]")) return;
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : null;
    if (!action) return;
    if (action(event) !== false) event.preventDefault();
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

/** Return the line that names keys: [["j", "k"], "to the next, to the last"], ... */
export function keyHelp(...lines) {
  const named = lines.map(([keys, what]) =>
    h("li", {}, keys.flatMap((key, i) => [i ? " " : "", h("kbd", {}, key)]), " ", what),
  );
  return h("details", { class: "keys" }, h("summary", {}, t("keys.title")), h("ul", {}, named));
}
