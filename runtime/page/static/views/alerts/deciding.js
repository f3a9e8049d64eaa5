// What a person says of an alert: it was seen, it is fine, a comment. And what follows from it.

import { address, attempt, del, locked, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { draftOf, keepDraft } from "../../core/draft.js";
import { ago } from "../../core/time.js";
import { t } from "../../core/words.js";
import { Fine } from "./fine.js";

const MAX_COMMENT = 2000;

/** The decisions on an alert; `changed(alert)` is called with what the page's process answers. */
export class Deciding {
  constructor(alert, changed, evidence) {
    this._changed = changed;
    this._id = alert.id;
    this.fine = new Fine(alert, changed, evidence);
    this._seen = h("div", { class: "decision" });
    this._comments = h("ol", { class: "comments" });
    const keep = () => keepDraft(`comment.${alert.id}`, this.comment.value);
    this.comment = h("textarea", { name: "comment", rows: 2, maxlength: MAX_COMMENT, required: true, value: draftOf(`comment.${alert.id}`) ?? "", oninput: keep });
  }

  elements() {
    const may = mayChange();
    return [
      this.fine.node,
      this._seen,
      h("h2", {}, t("alerts.comments")),
      this._comments,
      may ? this._form() : null,
      may ? null : h("p", { class: "muted" }, t("viewer")),
    ];
  }

  write(alert) {
    this.fine.write(alert);
    const state = JSON.stringify([alert.false_alarm, alert.acknowledged]);
    if (state !== this._state) {
      this._state = state;
      this._writeSeen(alert);
    }
    const line = ({ by, at_ms, text }) => h("li", {}, h("p", { class: "comment-text" }, text), h("p", { class: "muted" }, `${by || t("someone")}, ${ago(at_ms)}`));
    fill(this._comments, alert.comments.map(line));
  }

  seenByKey() {
    this._seen.querySelector("button:not(.take-back)")?.click();
  }

  _writeSeen(alert) {
    if (alert.acknowledged) {
      const { by, at_ms } = alert.acknowledged;
      const back = whenPressed(async () => { this._changed(await del(address("alerts", this._id, "acknowledge"))); });
      fill(this._seen, h("p", { class: "muted" }, t("alerts.seen.done", { name: by || t("someone"), ago: ago(at_ms) })),
        mayChange() ? h("button", { type: "button", class: "take-back", onclick: back }, t("alerts.seen.not")) : null);
    } else {
      const press = whenPressed(() => this._send("acknowledge"));
      fill(this._seen, mayChange() && !alert.false_alarm ? [
        h("button", { type: "button", onclick: press }, t("alerts.seen")),
        h("p", { class: "muted" }, t("alerts.seen.what"))] : null);
    }
  }

  async _send(action, body = {}) {
    this._changed(await post(address("alerts", this._id, action), body));
    return true;
  }

  _form() {
    const button = h("button", {}, t("alerts.comment.send"));
    const send = async () => {
      const text = this.comment.value.trim();
      if (text && (await attempt(() => this._send("comment", { text })))) {
        this.comment.value = "";
        keepDraft(`comment.${this._id}`, "");
        showDone(t("alerts.comment.done"));
      }
    };
    const submit = (event) => {
      event.preventDefault();
      return locked([this.comment, button], send);
    };
    return h("form", { class: "comment-form", onsubmit: submit }, h("label", {}, t("alerts.comment"), this.comment), button);
  }
}
