// Contact sheets: many small pictures, judged one by one or several at once; a click shows one of them large.

import { address, mayChange, post, whenPressed } from "../../core/api.js";
import { fill, h, say, svg } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { number, t } from "../../core/words.js";
import { showLarge } from "./large.js";
import { sizes } from "./state.js";

const SHOWN = 48;
const WIDTH = 320;
const MAX_IDS = 1000; // of one request

/** Return the address of a stored picture, `width` pixels wide, or as it is. */
export function pictureAddress(key, id, width = 0) {
  return `${address("cameras", key, "pictures", id)}${width ? `?width=${width}` : ""}`;
}

/** Return a small stored picture, with boxes around what is strange in it. */
export function thumbnail(key, picture) {
  const alt = t("teach.picture", { clock: clock(Date.parse(picture.time)) });
  return boxed(key, picture, h("img", { src: pictureAddress(key, picture.id, WIDTH), alt, loading: "lazy", decoding: "async", class: "thumbnail" }));
}

/** Return a picture with its boxes, where they are known. */
export function boxed(key, picture, img) {
  const hw = sizes.get(key);
  if (!hw || !picture.boxes?.length) return img;
  const rects = picture.boxes.map(([x, y, width, height]) => svg("rect", { x, y, width, height }));
  return h("span", { class: "boxed" }, img, svg("svg", { viewBox: `0 0 ${hw[1]} ${hw[0]}`, "aria-hidden": "true" }, rects));
}

/** Return why a picture is here, in a few words. */
export function why(picture) {
  const times = picture.score / picture.threshold;
  if (picture.kind === "peak") return t("teach.why.peak", { times: number(times, 1) });
  if (times > 1) return t("teach.why.over", { times: number(times, 1) });
  return picture.kind === "aside" ? t("teach.why.around") : t("teach.why.calm", { percent: number(100 * times, 0) });
}

/** Return whether a picture was taken while an alert went on. */
function during(picture, alert) {
  const ms = Date.parse(picture.time);
  return Boolean(alert) && ms >= alert.start_ms && ms <= (alert.end_ms ?? Infinity);
}

/** A contact sheet. `decisions` are the buttons: "accept", "reject"; `all` allows all at once, `judged` says what was. */
export class Sheet {
  constructor(state, { decisions, all = false, judged = false, label }) {
    this._judged = judged;
    this._state = state;
    this._decisions = mayChange() ? decisions : [];
    this._all = all && mayChange();
    this._chosen = new Set();
    this._pictures = [];
    this._limit = SHOWN;
    this._list = h("ul", { class: "sheet", "aria-label": label, onkeydown: (event) => this._key(event) });
    this._tools = h("div", { class: "row sheet-tools" });
    this._more = h("button", { type: "button", hidden: true, onclick: () => { this._limit += SHOWN * 2; this._draw(); } });
  }

  elements() {
    return [this._tools, this._list, this._more];
  }

  write(pictures) {
    const ids = new Set(pictures.map((one) => one.id));
    for (const id of this._chosen) if (!ids.has(id)) this._chosen.delete(id);
    this._taken = this._state.takenBack;
    const known = pictures.map((one) => one.id + one.decided + this._taken.has(one.id)).join();
    if (known === this._known) return;
    this._known = known;
    this._pictures = pictures;
    this._draw();
  }

  /** Decide on pictures; the device is asked what it made of it. */
  async decide(decision, ids) {
    const body = ids !== "all" ? { ids } : this._judged ? { ids: this._pictures.map((one) => one.id).slice(0, MAX_IDS) } : { all: true };
    await post(address("cameras", this._state.key, "pictures", decision), body);
    this._chosen.clear();
    await this._state.load();
  }

  _draw() {
    const children = [...this._list.children];
    const before = new Map(children.map((item) => [item.dataset.id + item.dataset.decided, item]));
    const focused = children.indexOf(document.activeElement?.closest?.(".sheet > li"));
    const items = this._pictures.slice(0, this._limit).map((picture) => (this._judged ? null : before.get(picture.id + picture.decided)) ?? this._item(picture));
    this._list.replaceChildren(...items);
    if (focused >= 0 && !this._list.contains(document.activeElement)) items[Math.min(focused, items.length - 1)]?.querySelector("button")?.focus();
    this._more.hidden = this._pictures.length <= this._limit;
    say(this._more, t("teach.sheet.more", { count: this._pictures.length - this._limit }));
    this._writeTools();
  }

  _item(picture) {
    const large = () => showLarge(this, this._state.key, picture.id);
    const buttons = this._decisions.map((decision) =>
      h("button", { type: "button", class: `judge judge-${decision}`, onclick: whenPressed(() => this.decide(decision, [picture.id])) }, t(`teach.judge.${decision}`)));
    const label = { accepted: "accept", rejected: this._taken.has(picture.id) ? "taken_back" : "reject" }[picture.decided];
    return h("li", { data: { id: picture.id, decided: picture.decided } },
      h("button", { type: "button", class: "thumbnail-button", onclick: large, "aria-label": t("teach.enlarge", { clock: clock(Date.parse(picture.time)) }) }, thumbnail(this._state.key, picture)),
      this._all ? this._tick(picture) : null,
      h("p", { class: "small" }, why(picture)),
      during(picture, this._state.camera?.alert) ? h("p", { class: "small warn" }, t("teach.why.during")) : null,
      label && this._judged ? h("p", { class: `small judged-${label}` }, h("strong", {}, t(`teach.judge.${label}`))) : null,
      buttons.length ? h("div", { class: "judges" }, buttons) : null);
  }

  _tick(picture) {
    const change = (event) => {
      if (event.target.checked) this._chosen.add(picture.id);
      else this._chosen.delete(picture.id);
      this._writeTools();
    };
    return h("label", { class: "tick" }, h("input", { type: "checkbox", onchange: change, checked: this._chosen.has(picture.id) }), h("span", { class: "unseen" }, t("teach.sheet.choose")));
  }

  /** The buttons for several at once: those that are ticked, or all. */
  _writeTools() {
    if (!this._all || this._pictures.length < (this._judged ? 1 : 2)) {
      fill(this._tools);
      return;
    }
    const some = this._chosen.size;
    const press = (decision) => whenPressed(() => this.decide(decision, some ? [...this._chosen] : "all"));
    const count = some || this._pictures.length;
    const buttons = this._decisions.map((decision) =>
      h("button", { type: "button", onclick: press(decision) }, t(`teach.${some ? "chosen" : "all"}.${decision}`, { count })));
    fill(this._tools, buttons, h("span", { class: "muted small" }, t(some ? "teach.sheet.chosen" : "teach.sheet.tick", { count })));
  }

  /** Arrow keys go from picture to picture; Y and N judge the one that has the focus. */
  _key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const item = event.target.closest("li");
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this._columns(), ArrowUp: -this._columns() }[event.key];
    const decision = { y: "accept", n: "reject" }[event.key];
    if (by) [...this._list.children][[...this._list.children].indexOf(item) + by]?.querySelector("button").focus();
    else if (decision && this._decisions.includes(decision)) item.querySelector(`.judge-${decision}`).click();
    else return;
    event.preventDefault();
  }

  _columns() {
    const tops = [...this._list.children].map((item) => item.offsetTop);
    return Math.max(1, tops.filter((top) => top === tops[0]).length);
  }

  /** Return a picture and those beside it. */
  around(id) {
    const at = this._pictures.findIndex((one) => one.id === id);
    return { picture: this._pictures[at], before: this._pictures[at - 1], after: this._pictures[at + 1] };
  }

  /** Return the button of the first picture; null: there is none. */
  first() {
    return this._list.querySelector("button");
  }

  get decisions() {
    return this._decisions;
  }
}
