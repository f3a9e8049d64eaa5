// Sliders with numbers beside them. What is moved here is a draft until it is applied.

import { h, say } from "../../core/dom.js";
import { number, score, t } from "../../core/words.js";
import { FIELDS, SLIDER_STEPS, fromSlider, toSlider } from "./fields.js";

const DIGITS = 4;

/** Return a number with some significant digits. */
const rounded = (value) => Number(value.toPrecision(DIGITS));

/** The sliders; `moved(name, value)` is called when one is moved, null where the device is to choose by itself. */
export class Sliders {
  constructor(moved) {
    this._moved = moved;
    this._made = new Map(FIELDS.map((field) => [field.name, this._field(field)]));
    this._threshold = this._makeThreshold();
    this._more = h("details", { class: "more-sliders" }, h("summary", {}, t("tune.more")), [...this._made.values()].slice(2).map((made) => made.element));
  }

  elements() {
    return [this._threshold.element, [...this._made.values()].slice(0, 2).map((made) => made.element), this._more];
  }

  /** Show a draft. `learned` is the threshold of the bundle, `top` the highest value of the threshold's slider. */
  write(draft, { learned, top }) {
    this._top = top;
    const value = draft.threshold ?? learned;
    this._threshold.slider.value = Math.round((SLIDER_STEPS * value) / top);
    this._threshold.slider.setAttribute("aria-valuetext", score(value));
    if (document.activeElement !== this._threshold.number) this._threshold.number.value = rounded(value);
    this._threshold.auto.hidden = draft.threshold === null;
    say(this._threshold.auto, t("tune.threshold.learned", { score: score(learned) }));
    for (const field of FIELDS) this._write(field, draft[field.name]);
  }

  _write(field, value) {
    const made = this._made.get(field.name);
    const shown = field.shown(value ?? field.auto ?? 0);
    made.slider.value = toSlider(field, shown);
    made.slider.setAttribute("aria-valuetext", `${number(shown)} ${field.unit}`);
    if (document.activeElement !== made.number) made.number.value = shown;
    if (made.auto) made.auto.hidden = value === null;
    if (made.isAuto) made.isAuto.hidden = value !== null;
  }

  _field(field) {
    const { name } = field;
    const move = (shown) => { if (Number.isFinite(shown)) this._moved(name, field.taken(Math.min(Math.max(shown, field.min), field.most))); };
    const slider = h("input", { type: "range", min: 0, max: SLIDER_STEPS, step: 1, id: `slide-${name}`, oninput: (event) => move(fromSlider(field, Number(event.target.value))) });
    const box = h("input", { type: "number", min: field.min, max: field.most, step: field.step, "aria-label": t(`tune.${name}`), oninput: (event) => move(event.target.valueAsNumber) });
    const auto = field.auto === undefined ? null : h("button", { type: "button", class: "plain small", onclick: () => this._moved(name, null) }, t("tune.auto"));
    const isAuto = field.auto === undefined ? null : h("span", { class: "muted small" }, t("tune.is_auto"));
    const element = h("div", { class: "slider" },
      h("label", { for: `slide-${name}` }, t(`tune.${name}`)),
      slider, h("span", { class: "slider-number" }, box, h("span", { class: "muted" }, field.unit)),
      h("p", { class: "muted small" }, t(`tune.${name}.what`), auto ? [" ", auto] : null, isAuto ? [" ", isAuto] : null));
    return { element, slider, number: box, auto, isAuto };
  }

  _makeThreshold() {
    const move = (value) => { if (Number.isFinite(value) && value > 0) this._moved("threshold", rounded(value)); };
    const slider = h("input", { type: "range", min: 1, max: SLIDER_STEPS, step: 1, id: "slide-threshold", oninput: (event) => move((this._top * Number(event.target.value)) / SLIDER_STEPS) });
    const box = h("input", { type: "number", min: 0, step: "any", "aria-label": t("tune.threshold"), oninput: (event) => move(event.target.valueAsNumber) });
    const auto = h("button", { type: "button", class: "plain small", hidden: true, onclick: () => this._moved("threshold", null) });
    const element = h("div", { class: "slider" },
      h("label", { for: "slide-threshold" }, t("tune.threshold")),
      slider, h("span", { class: "slider-number" }, box),
      h("p", { class: "muted small" }, t("tune.threshold.what"), " ", auto));
    return { element, slider, number: box, auto };
  }
}
