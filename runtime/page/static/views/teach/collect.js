// Collect pictures of what is normal: how many, over which time, and how far it is.

import { address, del, mayChange, post, whenPressed } from "../../core/api.js";
import { fill, h, say } from "../../core/dom.js";
import { duration } from "../../core/time.js";
import { t } from "../../core/words.js";
import { thumbnail } from "./sheet.js";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const PRESETS = [
  { name: "short", frames: 20, minutes: 1 / 3 },
  { name: "minute", frames: 60, minutes: 1 },
  { name: "ten", frames: 100, minutes: 10 },
  { name: "hour", frames: 120, minutes: 60 },
  { name: "shift", frames: 240, minutes: 480 },
];
const MAX_FRAMES = 5000;
const MAX_MINUTES = 20_160;
const STRIP = 12;

const rounded = (minutes) => Math.round(minutes * 100) / 100;

/** The part of the page that collects. */
export class Collect {
  constructor(state) {
    this._state = state;
    this._chosen = PRESETS[0];
    this._form = this._makeForm();
    this._said = h("p", { role: "status" });
    this._bar = h("progress", { max: 1, value: 0, "aria-label": t("teach.collect.progress") });
    this._left = h("p", { class: "muted" });
    this._stop = h("button", { type: "button", onclick: whenPressed(() => this._end()) }, t("teach.collect.stop"));
    this._running = h("div", { class: "stack", hidden: true }, this._said, this._bar, this._left, mayChange() ? h("p", {}, this._stop) : null);
    this._over = h("p", { hidden: true });
    this._more = h("p", { class: "muted small" });
    this._strip = h("ul", { class: "strip", "aria-label": t("teach.collect.latest") });
  }

  elements() {
    return [h("p", { class: "muted" }, t("teach.collect.what")), this._form, this._running, this._over, this._strip, this._more];
  }

  write(state) {
    const { teaching } = state;
    this._running.hidden = !state.collecting;
    this._form.hidden = state.collecting || !mayChange();
    this._over.hidden = !teaching || state.collecting;
    if (!teaching) return;
    const stored = teaching.taught + teaching.aside;
    const counts = t(teaching.wanted ? "teach.collect.of" : "teach.collect.some", { count: stored, wanted: teaching.wanted ?? 0 });
    const aside = teaching.aside ? ` ${t("teach.collect.aside", { count: teaching.aside })}` : "";
    if (state.collecting) {
      say(this._said, counts + aside);
      this._progress(teaching, stored);
    } else {
      say(this._over, `${counts}${aside}${teaching.lost ? ` ${t("teach.collect.lost", { count: teaching.lost })}` : ""}`);
    }
    const taught = state.pictures.filter((one) => one.kind === "taught");
    const ids = taught.slice(-STRIP).reverse();
    const known = taught.length + ids.map((one) => one.id).join();
    if (known === this._known) return;
    this._known = known;
    fill(this._strip, ids.map((one) => h("li", {}, thumbnail(state.key, one))));
    say(this._more, taught.length > STRIP ? t("teach.collect.more", { count: taught.length - STRIP }) : "");
  }

  _progress(teaching, stored) {
    const ends = teaching.ends ? Date.parse(teaching.ends) : null;
    if (teaching.wanted) Object.assign(this._bar, { max: teaching.wanted, value: stored });
    else this._bar.removeAttribute("value");
    const byTime = ends === null ? Infinity : ends - Date.now();
    const byNumber = teaching.wanted ? (teaching.wanted - stored) * teaching.every_ms : Infinity;
    const left = Math.min(byTime, byNumber);
    const known = left < SECOND_MS ? t("teach.collect.nearly") : t("teach.collect.left", { duration: duration(left) });
    say(this._left, stored || byTime < byNumber ? known : t("teach.collect.none_yet"));
  }

  _makeForm() {
    const buttons = PRESETS.map((preset) => {
      const press = () => { this._choose(preset); };
      return h("button", { type: "button", "aria-pressed": String(preset === this._chosen), onclick: press, data: { name: preset.name } }, t(`teach.collect.for.${preset.name}`));
    });
    this._buttons = buttons;
    this._frames = h("input", { type: "number", name: "frames", min: 1, max: MAX_FRAMES, value: this._chosen.frames, required: true });
    this._minutes = h("input", { type: "number", name: "minutes", min: 0.1, max: MAX_MINUTES, step: "any", value: rounded(this._chosen.minutes), required: true });
    const own = h("details", { class: "own" }, h("summary", {}, t("teach.collect.own")),
      h("p", { class: "row" }, h("label", {}, this._frames, t("teach.collect.pictures")), h("label", {}, t("teach.collect.over"), this._minutes, t("teach.collect.minutes"))));
    const start = async (event) => {
      event.preventDefault();
      const button = event.target.querySelector("button.start");
      await whenPressed(() => this.begin())({ currentTarget: button });
    };
    return h("form", { class: "stack", onsubmit: start },
      h("div", { class: "choices", role: "group", "aria-label": t("teach.collect.time") }, buttons), own,
      h("p", {}, h("button", { class: "main start big" }, t("teach.collect.start"))));
  }

  _choose(preset) {
    this._chosen = preset;
    for (const button of this._buttons) button.setAttribute("aria-pressed", String(button.dataset.name === preset.name));
    this._frames.value = preset.frames;
    this._minutes.value = rounded(preset.minutes);
  }

  /** Begin to collect what the form says. */
  async begin() {
    const [frames, minutes] = [Number(this._frames.value), Number(this._minutes.value)];
    const every_ms = Math.floor((minutes * MINUTE_MS) / frames);
    await post(address("cameras", this._state.key, "teaching"), { frames, minutes, every_ms });
    await this._state.load();
  }

  async _end() {
    await del(address("cameras", this._state.key, "teaching"));
    await this._state.load();
  }
}
