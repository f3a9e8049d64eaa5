// "This is fine": a person says that an alert is a false alarm, what follows from it, and the way back.

import { ApiError, address, del, get, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { ago } from "../../core/time.js";
import { t } from "../../core/words.js";

const MORE = { frames: 20, every_ms: 1000 }; // one picture shows one moment of what moves behind it
const AGAIN_MS = 5000;
const EARLIER_MS = 60_000;
const SOON_MS = 10_000; // the device takes a moment to store a picture

const REFUSED = 409;

/** Return what became of the pictures of an alert that were called fine, and since when the version in use is there. */
async function fate({ key, id, start_ms, end_ms }, options) {
  const after = new Date(start_ms - EARLIER_MS).toISOString().replace(/[-:.]/g, ""); // ids of pictures begin with their time
  const { pictures } = await get(`${address("cameras", key, "pictures")}?kind=peak,aside&limit=1000&after=${after}`, options);
  const mine = pictures.filter((one) => one.alert === id);
  if (!mine.length && end_ms && Date.now() - end_ms > SOON_MS) return NOT_KEPT;
  if (mine.length && mine.every((one) => one.kind === "aside" && one.decided === "rejected")) return TAKEN_BACK;
  if (mine.some((one) => one.decided === "accepted") || !mine.some((one) => one.decided === "learnt")) return NOT_LEARNED;
  const { versions } = await get(address("cameras", key, "versions"), options);
  const active = versions.find((one) => one.active && one.parent);
  return { name: active ? "learned" : "back", since: active?.at ? Date.parse(active.at) : Infinity };
}

/** What became of them: "" (not learned), "learned" (in use), "back" (learned, not in use). */
const NOT_LEARNED = { name: "", since: Infinity };
const NOT_KEPT = { name: "", since: Infinity, missing: true }; // the device has no picture of it to learn from
const TAKEN_BACK = { name: "back", since: Infinity, again: true }; // with the version: it may be called fine again

/** The part of an alert's page with the decision; `changed(alert)` is called with what the page's process answers. */
export class Fine {
  constructor(alert, changed, evidence) {
    this._changed = changed;
    this._evidence = evidence;
    this._place = address("alerts", alert.id, "false-alarm");
    this.node = h("div", { class: "decision" });
    this._stop = new AbortController();
    this._fate = NOT_LEARNED;
    this._asked = 0;
    this._again = false;
  }

  end() {
    this._stop.abort();
  }

  write(alert) {
    this._alert = alert;
    const state = JSON.stringify([alert.end_ms === null, alert.false_alarm, alert.has_picture, this._another]);
    if (state === this._state) return;
    this._state = state;
    if (this._another) this._evidence.look();
    this._draw();
    this._ask();
  }

  /** While the alert goes on, what became of its picture is asked for again. */
  tick() {
    if (this._alert?.false_alarm && this._alert.end_ms === null && Date.now() - this._asked > AGAIN_MS) this._ask();
  }

  /** Another picture is looked at. */
  redraw() {
    if (this._alert) this._draw();
  }

  /** What alarms now came after what was learned of this alert. */
  get _another() {
    return this._fate.name === "learned" && this._alert.peak_ms > this._fate.since;
  }

  byKey() {
    this.node.querySelector("button[data-name=fine]")?.click();
  }

  async _ask() {
    this._asked = Date.now();
    const now = await fate(this._alert, { signal: this._stop.signal }).catch(() => this._fate); // a device that is away
    if (this._stop.signal.aborted || (now.name === this._fate.name && now.since === this._fate.since && now.missing === this._fate.missing)) return;
    this._fate = now;
    if (this._another) this._evidence.look();
    this._draw();
  }

  _draw() {
    const content = this._alert.false_alarm ? this._said() : this._fate.name && !this._fate.again ? this._learned() : this._question();
    fill(this.node, content);
  }

  _question() {
    if (!mayChange()) return [];
    if (this._fate.missing) return [h("p", { class: "muted" }, t("alerts.fine.missing")), h("p", {}, this._teach("alerts.fine.missing.do"))];
    const { seen } = this._evidence;
    const boxes = seen?.boxes.length ?? 0;
    return [
      h("button", { type: "button", class: "main big", data: { name: "fine" }, disabled: !seen, onclick: whenPressed(() => this._say()) }, t("alerts.fine")),
      this._again ? h("p", { class: "warn", role: "status" }, t("alerts.fine.changed")) : null,
      h("p", { class: "muted" }, t(seen ? "alerts.fine.what" : "alerts.picture.coming")),
      boxes > 1 ? h("p", { class: "warn" }, t("alerts.fine.all", { count: boxes }), " ", t("alerts.fine.fault"), " ", this._teach("alerts.fine.without")) : null,
    ];
  }

  /** It was called fine: the one thing to do next, and the way back. */
  _said() {
    const { end_ms, false_alarm: { by, at_ms } } = this._alert;
    const said = h("p", {}, h("strong", {}, t("alerts.fine.done", { name: by || t("someone"), ago: ago(at_ms) })));
    if (this._another) {
      const back = mayChange() ? h("p", {}, this._button("alerts.fine.not", () => this._takeBack(), "", "not-fine")) : null;
      return [said, h("p", { class: "warn" }, h("strong", {}, t(end_ms === null ? "alerts.fine.another" : "alerts.fine.another.over"))), this._question(), back];
    }
    const { name } = this._fate;
    const which = name ? `.${name}${end_ms === null ? ".open" : ""}` : "";
    if (!mayChange()) return [said];
    return [
      said,
      h("p", { class: end_ms === null && name ? "warn" : "muted" }, t(`alerts.fine.next${which}`)),
      h("p", { class: "buttons" }, this._step(end_ms === null), this._button("alerts.fine.not", () => this._takeBack(), "", "not-fine")),
    ];
  }

  _step(goesOn) {
    if (this._fate.name === "learned" && goesOn) {
      const live = h("a", { class: "button", href: `#/camera/${encodeURIComponent(this._alert.key)}` }, t("alerts.fine.live"));
      return [this._button("alerts.fine.collect", () => this._go("teaching", MORE), "main big"), live];
    }
    if (this._fate.name === "learned") return this._teach("alerts.fine.report");
    if (this._fate.name === "back") return this._teach("alerts.fine.versions");
    return this._button("learn.now", () => this._go("learn-on", { force: false }), "main big");
  }

  /** It is not called fine, but was learned as if it were. */
  _learned() {
    if (this._fate.name === "back") return [];
    return [h("p", { class: "warn" }, t("alerts.fine.not.learned")), h("p", {}, this._teach("alerts.fine.versions"))];
  }

  _button(key, action, kind, name = null) {
    return h("button", { type: "button", class: kind, data: name ? { name } : {}, onclick: whenPressed(action) }, t(key));
  }

  _teach(key) {
    return h("a", { class: "button", href: `#/teach/${encodeURIComponent(this._alert.key)}` }, t(key));
  }

  /** Call the picture fine that is shown; where the device keeps another one, that one has to be looked at first. */
  async _say() {
    const { seen } = this._evidence;
    try {
      this._again = false;
      this._changed(await post(this._place, { score: seen.picture_score }));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== REFUSED) throw error;
      const now = await get(address("alerts", seen.id));
      if (now.picture_score === seen.picture_score) throw error;
      this._again = true;
      this._changed(now);
      await this._evidence.look();
    }
  }

  async _takeBack() {
    const { name } = this._fate;
    this._changed(await del(this._place));
    showDone(t(name === "learned" ? "alerts.fine.not.done.learned" : "alerts.fine.not.done"));
  }

  async _go(what, body) {
    const { key } = this._alert;
    await post(address("cameras", key, what), body);
    location.hash = `#/teach/${encodeURIComponent(key)}`;
  }
}
