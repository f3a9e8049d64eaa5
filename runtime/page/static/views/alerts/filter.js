// What is to be in the list of alerts: camera, time, state, text. It is in the address, so that it can be kept.

import { fill, h } from "../../core/dom.js";
import { cameras, shortName } from "../../core/live.js";
import { t } from "../../core/words.js";

const HOUR_MS = 3_600_000;
const STATES = ["", "new", "open", "acknowledged", "false_alarm"];
const TIMES = { "": 0, "1h": HOUR_MS, "24h": 24 * HOUR_MS, "7d": 7 * 24 * HOUR_MS };
const DAYS = { today: 0, yesterday: -1 };
const FIELDS = ["camera", "state", "time", "first", "last", "text"];
const TYPING_MS = 300;

/** Return when a day began here, ms: 0 for today, -1 for yesterday. */
function midnight(day) {
  const now = new Date();
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + day).getTime();
}

/** A filter; `changed()` is called when a person changes it. */
export class Filter {
  constructor(query, changed) {
    this._changed = changed;
    this.of = query.get("of") ?? ""; // the list is within this camera
    this.values = Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? ""]));
    if (this.of) this.values.camera = this.of;
    this.form = this._form();
  }

  /** Return the part of a request that chooses alerts. */
  query() {
    const { camera, state, text } = this.values;
    const { from_ms, to_ms } = this._times();
    const all = { camera, state, text, from_ms, to_ms };
    return new URLSearchParams(Object.entries(all).filter(([, value]) => value !== "" && value !== null));
  }

  /** Return whether an alert is among those that are wanted; a text is not looked for here. */
  takes(alert) {
    const { camera, state } = this.values;
    const { from_ms, to_ms } = this._times();
    if (camera && camera !== alert.key && camera !== alert.camera) return false;
    if (from_ms !== null && alert.start_ms < from_ms) return false;
    if (to_ms !== null && alert.start_ms > to_ms) return false;
    if (state === "open") return !alert.end_ms;
    if (state === "acknowledged") return alert.acknowledged !== null;
    if (state === "false_alarm") return alert.false_alarm !== null;
    if (state === "new") return alert.acknowledged === null && alert.false_alarm === null;
    return true;
  }

  get empty() {
    return FIELDS.every((name) => !this.values[name] || (this.of && name === "camera"));
  }

  /** Return the address of the list with this filter. */
  address() {
    const chosen = { ...this.values, ...(this.of ? { of: this.of, camera: "" } : {}) };
    const some = new URLSearchParams(Object.entries(chosen).filter(([, one]) => one));
    return `#/alerts${some.size ? `?${some}` : ""}`;
  }

  /** Write the names of the cameras into the form; they may be known later than the form is made. */
  writeCameras() {
    const chosen = this.values.camera;
    const full = [...cameras.values()].find((one) => one.key === chosen || one.name === chosen)?.key ?? chosen;
    const keys = [...new Set([...cameras.keys(), full].filter(Boolean))].sort();
    fill(this._camera, h("option", { value: "" }, t("alerts.filter.all_cameras")), keys.map((key) => h("option", { value: key }, shortName(key))));
    this._camera.value = full;
  }

  _times() {
    const { time, first, last } = this.values;
    if (time === "own") {
      const ms = (day, later) => (day ? new Date(`${day}T00:00:00`).getTime() + later : null);
      return { from_ms: ms(first, 0), to_ms: ms(last, 24 * HOUR_MS - 1) };
    }
    if (DAYS[time] !== undefined) return { from_ms: midnight(DAYS[time]), to_ms: midnight(DAYS[time] + 1) - 1 };
    return { from_ms: TIMES[time] ? Date.now() - TIMES[time] : null, to_ms: null };
  }

  _set(name, value) {
    this.values[name] = value;
    history.replaceState(null, "", this.address());
    this._changed();
  }

  _form() {
    const own = h("span", { class: "filter-days", hidden: this.values.time !== "own" }, ["first", "last"].map((name) => this._day(name)));
    const camera = this._choice("camera", []);
    this._camera = camera.querySelector("select");
    this.writeCameras();
    const times = [...Object.keys(TIMES), ...Object.keys(DAYS), "own"].map((name) => [name, t(`alerts.filter.time.${name || "any"}`)]);
    const time = this._choice("time", times, (value) => { own.hidden = value !== "own"; });
    return h(
      "form",
      { class: "filter", role: "search", "aria-label": t("alerts.filter.title"), onsubmit: (event) => event.preventDefault() },
      this._states(),
      h("div", { class: "filter-fields" }, this.of ? null : camera, time, own, this._text()),
    );
  }

  /** The states, as buttons of which one is pressed. */
  _states() {
    const buttons = STATES.map((state) => {
      const press = () => {
        for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
        this._set("state", state);
      };
      const pressed = String(this.values.state === state);
      const button = h("button", { type: "button", "aria-pressed": pressed, onclick: press }, t(`alerts.filter.state.${state || "all"}`));
      return button;
    });
    return h("div", { class: "choices", role: "group", "aria-label": t("alerts.filter.state") }, buttons);
  }

  _choice(name, options, then = () => {}) {
    const change = (event) => { then(event.target.value); this._set(name, event.target.value); };
    const made = options.map(([value, text]) => h("option", { value, selected: value === this.values[name] }, text));
    return h("label", {}, h("span", { class: "unseen" }, t(`alerts.filter.${name}`)), h("select", { name, onchange: change }, made));
  }

  _day(name) {
    const change = (event) => this._set(name, event.target.value);
    return h("label", {}, t(`alerts.filter.${name}`), " ", h("input", { type: "date", name, value: this.values[name], onchange: change }));
  }

  _text() {
    let timer = 0;
    const input = (event) => {
      clearTimeout(timer);
      const { value } = event.target;
      timer = setTimeout(() => this._set("text", value.trim()), TYPING_MS);
    };
    const hint = t("alerts.filter.text");
    return h("label", { class: "filter-text" }, h("span", { class: "unseen" }, hint),
      h("input", { type: "search", name: "text", placeholder: hint, value: this.values.text, oninput: input, maxlength: 100 }));
  }
}
