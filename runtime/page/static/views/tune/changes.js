// Changes of the settings that were kept: who, when, what; and the way back.

import { address, attempt, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { t } from "../../core/words.js";

/** The list of changes; `undone()` is called when the last one was taken back. */
export class Changes {
  constructor(key, undone) {
    this._key = key;
    this._undone = undone;
    this._list = h("ol", { class: "changes" });
    this._none = h("p", { class: "muted" }, t("changes.none"));
    this._undo = h("button", { type: "button", onclick: whenPressed(() => this._takeBack()) }, t("changes.undo"));
  }

  elements() {
    return [this._none, mayChange() ? h("p", {}, this._undo) : null, this._list];
  }

  write(changes) {
    this._none.hidden = changes.length > 0;
    this._undo.hidden = changes.every((one) => one.undone);
    fill(this._list, changes.map((one) => h("li", {},
      h(one.undone ? "del" : "span", {}, one.what),
      h("p", { class: "muted small" }, t(one.undone ? "changes.line_undone" : "changes.line", { name: one.by || t("someone"), clock: clock(one.at_ms) })))));
  }

  async _takeBack() {
    await post(address("cameras", this._key, "settings", "undo"));
    showDone(t("changes.undone"));
    await attempt(() => this._undone());
  }
}
