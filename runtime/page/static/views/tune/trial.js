// What the settings of a draft would have done in the last hours, over the scores that are stored.

import { address, get, post } from "../../core/api.js";
import { fill, h, say } from "../../core/dom.js";
import { cameras } from "../../core/live.js";
import { clock, duration } from "../../core/time.js";
import { number, score, t } from "../../core/words.js";
import { Curve, laneNames, pointsFor } from "../../parts/curve.js";

const HOUR_MS = 3_600_000;
const HOURS = [1, 8, 24];
const MOVING_MS = 250;
const BUSY = 429; // others try settings at this moment
const AGAIN_MS = 1000;
const LISTED = 20;
const NEAR_MS = 1000; // between an alert and the same one in a trial
const MAX_ALERTS = 500;
const CHOSEN = ["rollback", "learn_on"]; // a person chose a version: back to it, or in spite of its problems

const over = (from, to, alert) => from <= alert.to_ms + NEAR_MS && to >= alert.from_ms - NEAR_MS;

/** Return those alerts at whose time there is none among others. */
function without(some, others) {
  return some.filter((one) => !others.some((other) => over(other.from_ms, other.to_ms, one)));
}

/** The curve with the line of the draft, and the alerts now and then; `dragged(threshold)` is called by the line. */
export class Trial {
  constructor(key, dragged) {
    this._key = key;
    this._hours = HOURS[0];
    this._said = h("p", { class: "trial-said", role: "status" });
    this._place = h("div", { class: "curve" });
    this._lists = h("div", { class: "trial-lists" });
    this._left = h("p", { class: "muted small" });
    this._differ = h("div", { class: "trial-lists" });
    this._raised = [];
    this._curve = new Curve(this._place, { height: 260, lanes: [{ colour: "--strong" }, { colour: "--alarm" }], drag: dragged, label: t("tune.curve") });
    this._stop = new AbortController();
    this._turn = 0;
    this._timer = 0;
    this.highest = 0;
  }

  elements() {
    const lanes = [{ name: "lane-curve", text: t("curve.score") }, { name: "lane-line", text: t("tune.line") }, { name: "lane-now", text: t("tune.lane.now") }, { name: "lane-alert", text: t("tune.lane.then") }];
    return [this._choices(), this._said, this._left, this._differ, this._place, laneNames(lanes), h("details", {}, h("summary", {}, t("tune.lists")), this._lists)];
  }

  end() {
    this._stop.abort();
    clearTimeout(this._timer);
    this._curve.end();
  }

  /** Load the scores of the chosen time. */
  async load() {
    const to = Date.now();
    const begin = to - this._hours * HOUR_MS;
    const since = await this._since();
    const from = Math.min(Math.max(begin, since), to - 1);
    this._span = [from, to];
    say(this._left, since > begin ? t("tune.since", { clock: clock(since) }) : "");
    const query = new URLSearchParams({ camera: this._key, from_ms: from - HOUR_MS, to_ms: to, limit: MAX_ALERTS });
    this._raised = (await get(`alerts?${query}`, { signal: this._stop.signal })).alerts;
    let scores = await this._scores(from, to);
    const first = scores.t_ms[0] ?? from;
    if (first - from > (to - from) / 2) scores = await this._scores(Math.floor(first), to); // finer, as there is little
    this.highest = Math.max(0, ...scores.max.filter((value) => value !== null));
    this._curve.show(scores, from, to);
  }

  /** Return since when the version in use is there: what was scored before it says nothing about it. */
  async _since() {
    const options = { signal: this._stop.signal };
    const none = (error) => { if (this._stop.signal.aborted) throw error; return {}; }; // it does not learn, or is away
    const { device, name } = cameras.get(this._key) ?? {};
    const [{ versions = [] }, { orders = [] }] = await Promise.all([
      get(address("cameras", this._key, "versions"), options).catch(none),
      device ? get(`${address("devices", device, "orders")}?limit=200`, options).catch(none) : {},
    ]);
    const learned = Date.parse(versions.find((one) => one.active)?.at) || 0;
    const chosen = orders.find(({ request, fields }) => CHOSEN.includes(request) && fields.includes(`"camera":${JSON.stringify(name)}`) && (request === "rollback" || fields.includes('"force":true')));
    return Math.max(learned, chosen?.at_ms ?? 0);
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
    const gone = without(found.now_list, found.then_list);
    const fresh = without(found.then_list, found.now_list);
    fill(this._differ, this._named("tune.gone", gone), this._named("tune.fresh", fresh));
    fill(this._lists, list("tune.list.now", found.now_list), list("tune.list.then", found.then_list));
  }

  /** Name alerts of a trial, the latest first, with the picture of the alert that was raised then. */
  _named(name, some) {
    if (!some.length) return null;
    const one = (alert) => {
      const raised = this._raised.find((other) => over(other.start_ms, other.end_ms ?? Infinity, alert));
      const words = t("tune.listed", { clock: clock(alert.from_ms), duration: number((alert.to_ms - alert.from_ms) / 1000, 1), peak: score(alert.peak) });
      if (!raised) return h("li", {}, words);
      const picture = raised.has_picture ? h("img", { class: "thumbnail", src: address("alerts", raised.id, "picture"), alt: "", loading: "lazy" }) : null;
      return h("li", {}, h("a", { href: `#/alerts/${encodeURIComponent(raised.id)}?of=${encodeURIComponent(this._key)}` }, picture, words));
    };
    return h("div", { class: "trial-differ" }, h("h3", {}, t(name, { count: some.length })), h("ol", {}, some.slice(-LISTED).reverse().map(one)));
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
