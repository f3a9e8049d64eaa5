// What the settings of a draft would have done in the last hours, over the scores that are stored.

import { address, get, post } from "../../core/api.js";
import { fill, h, say } from "../../core/dom.js";
import { clock, duration } from "../../core/time.js";
import { number, score, t } from "../../core/words.js";
import { Curve, laneNames, pointsFor } from "../../parts/curve.js";

const HOUR_MS = 3_600_000;
const HOURS = [1, 8, 24];
const MOVING_MS = 250;
const BUSY = 429; // others try settings at this moment
const AGAIN_MS = 1000;
const LISTED = 20;

/** The curve with the line of the draft, and the alerts now and then; `dragged(threshold)` is called by the line. */
export class Trial {
  constructor(key, dragged) {
    this._key = key;
    this._hours = HOURS[0];
    this._said = h("p", { class: "trial-said", role: "status" });
    this._place = h("div", { class: "curve" });
    this._lists = h("div", { class: "trial-lists" });
    this._curve = new Curve(this._place, { height: 260, lanes: [{ colour: "--strong" }, { colour: "--alarm" }], drag: dragged, label: t("tune.curve") });
    this._stop = new AbortController();
    this._turn = 0;
    this._timer = 0;
    this.highest = 0;
  }

  elements() {
    const lanes = [{ name: "lane-curve", text: t("curve.score") }, { name: "lane-line", text: t("tune.line") }, { name: "lane-now", text: t("tune.lane.now") }, { name: "lane-alert", text: t("tune.lane.then") }];
    return [this._choices(), this._said, this._place, laneNames(lanes), h("details", {}, h("summary", {}, t("tune.lists")), this._lists)];
  }

  end() {
    this._stop.abort();
    clearTimeout(this._timer);
    this._curve.end();
  }

  /** Load the scores of the chosen time. */
  async load() {
    const to = Date.now();
    const from = to - this._hours * HOUR_MS;
    this._span = [from, to];
    let scores = await this._scores(from, to);
    const first = scores.t_ms[0] ?? from;
    if (first - from > (to - from) / 2) scores = await this._scores(Math.floor(first), to); // finer, as there is little
    this.highest = Math.max(0, ...scores.max.filter((value) => value !== null));
    this._curve.show(scores, from, to);
  }

  _scores(from_ms, to_ms) {
    const query = new URLSearchParams({ from_ms, to_ms, points: pointsFor(this._place) });
    return get(`${address("cameras", this._key, "scores")}?${query}`, { signal: this._stop.signal });
  }

  /** Try a draft: the line at once, the alerts as soon as it rests. */
  show(threshold, alerts) {
    this._curve.line(threshold);
    this._alerts = alerts;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._simulate(), MOVING_MS);
  }

  async _simulate() {
    const mine = ++this._turn;
    const [from_ms, to_ms] = this._span;
    this._place.classList.add("trial-waits");
    try {
      const found = await post(address("cameras", this._key, "simulate"), { alerts: this._alerts, from_ms, to_ms }, { signal: this._stop.signal });
      if (mine === this._turn) this._write(found);
    } catch (error) {
      if (mine !== this._turn || this._stop.signal.aborted) return;
      say(this._said, error.message);
      if (error.status === BUSY) this._timer = setTimeout(() => this._simulate(), AGAIN_MS);
    }
    if (mine === this._turn) this._place.classList.remove("trial-waits");
  }

  _write(found) {
    this._curve.bands(0, found.now_list);
    this._curve.bands(1, found.then_list);
    const same = !Object.keys(this._alerts).length;
    if (!found.frames) say(this._said, t("tune.no_scores"));
    else {
      const hours = duration(found.hours * HOUR_MS);
      fill(this._said, same ? t("tune.now", { count: found.now, hours }) : [h("strong", {}, t("tune.then", { count: found.then, now: found.now })), " ", t("tune.in_hours", { hours })]);
    }
    const list = (name, some) => h("div", {}, h("h3", {}, t(name, { count: some.length })), h("ol", {}, some.slice(-LISTED).reverse().map((one) =>
      h("li", {}, t("tune.listed", { clock: clock(one.from_ms), duration: number((one.to_ms - one.from_ms) / 1000, 1), peak: score(one.peak) })))));
    fill(this._lists, list("tune.list.now", found.now_list), list("tune.list.then", found.then_list));
  }

  _choices() {
    const buttons = HOURS.map((hours) => {
      const press = async () => {
        this._hours = hours;
        for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
        await this.load();
        this._simulate();
      };
      const button = h("button", { type: "button", "aria-pressed": String(hours === this._hours), onclick: press }, t("tune.hours", { count: hours }));
      return button;
    });
    return h("div", { class: "choices", role: "group", "aria-label": t("tune.time") }, buttons);
  }
}
