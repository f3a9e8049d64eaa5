// Changes of the settings that were kept, in the words of the sliders and areas: who, when, what; and the way back.

import { address, attempt, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { number, score, t, tOr } from "../../core/words.js";
import { FIELDS } from "./fields.js";

const PLACES = ["regions", "ignore"];

/** Return a value as it stands beside its slider. */
function shown(name, value) {
  if (PLACES.includes(name)) return t("changes.areas", { count: value ?? 0 });
  if (value === null) return t(name === "threshold" ? "changes.learned" : "changes.auto");
  if (name === "threshold") return score(value);
  const field = FIELDS.find((one) => one.name === name);
  if (field) return `${number(field.shown(value))} ${field.unit}`.trim();
  return Array.isArray(value) ? value.join(" ") || "–" : String(value);
}

/** Return what one setting was and is: "Threshold: 2.40 → 3.10". */
function line({ name, before, after }) {
  const called = tOr(`changes.name.${name}`, tOr(`tune.${name}`, name));
  if (PLACES.includes(name) && before === after) return t("changes.redrawn", { name: called });
  return t("changes.value", { name: called, before: shown(name, before), after: shown(name, after) });
}

/** The list of changes; `undone()` is called when the last one was taken back. */
export class Changes {
  constructor(key, undone) {
    this._key = key;
    this._undone = undone;
    this._list = h("ol", { class: "changes" });
    this._none = h("p", { class: "muted" }, t("changes.none"));
    /** The way back from the last change; it stands beside the buttons that make one. */
    this.button = h("button", { type: "button", hidden: true, onclick: whenPressed(() => this._takeBack()) }, t("changes.undo"));
  }

  elements() {
    return [this._none, this._list];
  }

  write(changes) {
    this._none.hidden = changes.length > 0;
    this.button.hidden = !mayChange() || !changes.some((one) => !one.undone);
    fill(this._list, changes.map((one) => h("li", {},
      one.values.map((value) => h("p", {}, h(one.undone ? "del" : "span", {}, line(value)))),
      h("p", { class: "muted small" }, t(one.undone ? "changes.line_undone" : "changes.line", { name: one.by || t("someone"), clock: clock(one.at_ms) })))));
  }

  async _takeBack() {
    await post(address("cameras", this._key, "settings", "undo"));
    showDone(t("changes.undone"));
    await attempt(() => this._undone());
  }
}
