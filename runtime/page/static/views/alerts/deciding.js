// What a person says of an alert: it was seen, it is fine, a comment. And what follows from it.

import { address, attempt, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { ago } from "../../core/time.js";
import { t } from "../../core/words.js";
import { personName } from "../../parts/dialog.js";

const MAX_COMMENT = 2000;
const MORE = { frames: 20, every_ms: 1000 }; // one picture shows one moment of what moves behind it

/** The decisions on an alert; `changed(alert)` is called with what the page's process answers. */
export class Deciding {
  constructor(alert, changed) {
    this._changed = changed;
    this._id = alert.id;
    this._fine = h("div", { class: "decision" });
    this._seen = h("div", { class: "decision" });
    this._comments = h("ol", { class: "comments" });
    this.comment = h("textarea", { name: "comment", rows: 2, maxlength: MAX_COMMENT, required: true });
  }

  elements() {
    const may = mayChange();
    return [
      this._fine,
      this._seen,
      h("h2", {}, t("alerts.comments")),
      this._comments,
      may ? this._form() : null,
      may ? null : h("p", { class: "muted" }, t("viewer")),
    ];
  }

  write(alert) {
    this._alert = alert;
    const state = JSON.stringify([alert.end_ms === null, alert.false_alarm, alert.acknowledged, alert.boxes.length]);
    if (state !== this._state) {
      this._state = state;
      this._writeFine(alert);
      this._writeSeen(alert);
    }
    const line = ({ by, at_ms, text }) => h("li", {}, h("p", { class: "comment-text" }, text), h("p", { class: "muted" }, `${by || t("someone")}, ${ago(at_ms)}`));
    fill(this._comments, alert.comments.map(line));
  }

  fineByKey() {
    this._fine.querySelector("button[data-name=fine]")?.click();
  }

  seenByKey() {
    this._seen.querySelector("button")?.click();
  }

  _writeFine(alert) {
    if (!alert.false_alarm) {
      const press = whenPressed(() => this._send("false-alarm"));
      fill(this._fine, mayChange() ? h("button", { type: "button", class: "main big", data: { name: "fine" }, onclick: press }, t("alerts.fine")) : null,
        mayChange() ? h("p", { class: "muted" }, t("alerts.fine.what")) : null,
        mayChange() && alert.boxes.length > 1 ? h("p", { class: "warn" }, t("alerts.fine.all", { count: alert.boxes.length })) : null);
      return;
    }
    const { by, at_ms } = alert.false_alarm;
    const button = (words, action, kind) => h("button", { type: "button", class: kind, onclick: whenPressed(action) }, words);
    const goesOn = alert.end_ms === null;
    const more = goesOn ? button(t("alerts.fine.collect"), () => this._collect(), "main big") : null;
    fill(this._fine,
      h("p", {}, h("strong", {}, t("alerts.fine.done", { name: by || t("someone"), ago: ago(at_ms) }))),
      mayChange() ? h("p", { class: "muted" }, t(goesOn ? "alerts.fine.next.open" : "alerts.fine.next")) : null,
      mayChange() ? h("p", { class: "buttons" },
        more,
        button(t("learn.now"), () => this._learn(), goesOn ? "" : "main big"),
        goesOn ? null : h("a", { class: "button", href: `#/teach/${encodeURIComponent(alert.key)}` }, t("alerts.fine.more"))) : null);
  }

  _writeSeen(alert) {
    if (alert.acknowledged) {
      const { by, at_ms } = alert.acknowledged;
      fill(this._seen, h("p", { class: "muted" }, t("alerts.seen.done", { name: by || t("someone"), ago: ago(at_ms) })));
    } else {
      const press = whenPressed(() => this._send("acknowledge"));
      fill(this._seen, mayChange() && !alert.false_alarm ? [
        h("button", { type: "button", onclick: press }, t("alerts.seen")),
        h("p", { class: "muted" }, t("alerts.seen.what"))] : null);
    }
  }

  async _send(action, body = {}) {
    if (!(await personName())) return false;
    this._changed(await post(address("alerts", this._id, action), body));
    return true;
  }

  async _collect() {
    const { key } = this._alert;
    await post(address("cameras", key, "teaching"), MORE);
    location.hash = `#/teach/${encodeURIComponent(key)}`;
  }

  async _learn() {
    const { key } = this._alert;
    await post(address("cameras", key, "learn-on"), { force: false });
    location.hash = `#/teach/${encodeURIComponent(key)}`;
  }

  _form() {
    const send = async (event) => {
      event.preventDefault();
      const text = this.comment.value.trim();
      if (text && (await attempt(() => this._send("comment", { text })))) {
        this.comment.value = "";
        showDone(t("alerts.comment.done"));
      }
    };
    return h("form", { class: "comment-form", onsubmit: send }, h("label", {}, t("alerts.comment"), this.comment), h("button", {}, t("alerts.comment.send")));
  }
}
