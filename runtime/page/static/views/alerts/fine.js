// "This is fine": a person says that an alert is a false alarm, what follows from it, and the way back.

import { address, del, get, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { ago } from "../../core/time.js";
import { t } from "../../core/words.js";
import { personName } from "../../parts/dialog.js";

const MORE = { frames: 20, every_ms: 1000 }; // one picture shows one moment of what moves behind it
const AGAIN_MS = 5000;
const EARLIER_MS = 60_000;

/** Return what became of the picture of an alert: "" (not learned), "learned" (in use), "back" (learned, not in use). */
async function fate({ key, id, start_ms }, options) {
  const after = new Date(start_ms - EARLIER_MS).toISOString().replace(/[-:.]/g, ""); // ids of pictures begin with their time
  const { pictures } = await get(`${address("cameras", key, "pictures")}?kind=peak&limit=1000&after=${after}`, options);
  if (!pictures.some((one) => one.alert === id && one.decided === "learnt")) return "";
  const { versions } = await get(address("cameras", key, "versions"), options);
  return versions.some((one) => one.active && one.parent) ? "learned" : "back";
}

/** The part of an alert's page with the decision; `changed(alert)` is called with what the page's process answers. */
export class Fine {
  constructor(alert, changed) {
    this._changed = changed;
    this._place = address("alerts", alert.id, "false-alarm");
    this.node = h("div", { class: "decision" });
    this._stop = new AbortController();
    this._fate = "";
    this._asked = 0;
  }

  end() {
    this._stop.abort();
  }

  write(alert) {
    const state = JSON.stringify([alert.end_ms === null, alert.false_alarm, alert.boxes.length]);
    this._alert = alert;
    if (state === this._state) return;
    this._state = state;
    this._draw();
    this._ask();
  }

  /** While the alert goes on, what became of its picture is asked for again. */
  tick() {
    if (this._alert?.false_alarm && this._alert.end_ms === null && Date.now() - this._asked > AGAIN_MS) this._ask();
  }

  byKey() {
    this.node.querySelector("button[data-name=fine]")?.click();
  }

  async _ask() {
    this._asked = Date.now();
    const now = await fate(this._alert, { signal: this._stop.signal }).catch(() => this._fate); // a device that is away
    if (this._stop.signal.aborted || now === this._fate) return;
    this._fate = now;
    this._draw();
  }

  _draw() {
    const content = this._alert.false_alarm ? this._said() : this._fate ? this._learned() : this._question();
    fill(this.node, content);
  }

  _question() {
    if (!mayChange()) return [];
    const { boxes } = this._alert;
    return [
      this._button("alerts.fine", () => this._say(post), "main big", "fine"),
      h("p", { class: "muted" }, t("alerts.fine.what")),
      boxes.length > 1 ? h("p", { class: "warn" }, t("alerts.fine.all", { count: boxes.length })) : null,
    ];
  }

  /** It was called fine: what to do next, and the way back. */
  _said() {
    const { end_ms, false_alarm: { by, at_ms } } = this._alert;
    const said = h("p", {}, h("strong", {}, t("alerts.fine.done", { name: by || t("someone"), ago: ago(at_ms) })));
    const which = `${this._fate && `.${this._fate}`}${end_ms === null ? ".open" : ""}`;
    if (!mayChange()) return [said];
    return [
      said,
      h("p", { class: end_ms === null && this._fate ? "warn" : "muted" }, t(`alerts.fine.next${which}`)),
      h("p", { class: "buttons" }, this._steps(end_ms === null), this._button("alerts.fine.not", () => this._say(del), "", "not-fine")),
    ];
  }

  _steps(goesOn) {
    const collect = () => this._button("alerts.fine.collect", () => this._go("teaching", MORE), "main big");
    if (this._fate === "learned") return goesOn ? [collect(), this._teach("alerts.fine.report")] : this._teach("alerts.fine.report");
    if (this._fate === "back") return this._teach("alerts.fine.versions");
    const learn = this._button("learn.now", () => this._go("learn-on", { force: false }), goesOn ? "" : "main big");
    return goesOn ? [collect(), learn] : [learn, this._teach("alerts.fine.more")];
  }

  /** It is not called fine, but was learned as if it were. */
  _learned() {
    if (this._fate === "back") return [];
    return [h("p", { class: "warn" }, t("alerts.fine.not.learned")), h("p", {}, this._teach("alerts.fine.versions"))];
  }

  _button(key, action, kind, name = null) {
    return h("button", { type: "button", class: kind, data: name ? { name } : {}, onclick: whenPressed(action) }, t(key));
  }

  _teach(key) {
    return h("a", { class: "button", href: `#/teach/${encodeURIComponent(this._alert.key)}` }, t(key));
  }

  async _say(send) {
    if (!(await personName())) return;
    this._changed(await send(this._place));
    if (send === del) showDone(t(this._fate === "learned" ? "alerts.fine.not.done.learned" : "alerts.fine.not.done"));
  }

  async _go(what, body) {
    const { key } = this._alert;
    await post(address("cameras", key, what), body);
    location.hash = `#/teach/${encodeURIComponent(key)}`;
  }
}
