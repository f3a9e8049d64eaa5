// What was seen of an alert: its picture with heat map and boxes, its scores, its clip.

import { address, get, mayChange } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { draw, heatCanvas, legend, load } from "../../core/heat.js";
import { shortName } from "../../core/live.js";
import { score, t } from "../../core/words.js";
import { Curve, laneNames, pointsFor } from "../../parts/curve.js";

const AROUND_MS = 30_000;
const AGAIN_MS = 2000;
const TRIES = 5; // an alert that rises changes its picture while it is loaded
const CLIP_AGAIN_MS = 4000;
const RETRIED = [409, 425, 429, 502, 503, 504]; // the clip is being made, or the device is busy or away
const DEFAULT_WEIGHT = 70;

/** The evidence of an alert. Its picture stays as it was when it was first shown: it is that one which is judged. */
export class Evidence {
  constructor() {
    /** The alert as it was with the picture that is shown; null: there is none yet. */
    this.seen = null;
    /** Called when `seen` is another one. */
    this.looked = () => {};
    this._other = h("p", { class: "evidence-other", hidden: true, role: "status" });
    this._canvas = h("canvas", { class: "evidence-picture", role: "img", hidden: true });
    this._none = h("p", { class: "muted" }, t("alerts.picture.coming"));
    this._frame = h("div", { class: "evidence-frame" }, this._canvas, this._none);
    this._legend = h("canvas", { class: "evidence-legend", "aria-hidden": "true" });
    this._weight = h("input", { type: "range", min: 0, max: 100, value: DEFAULT_WEIGHT, oninput: () => this._draw() });
    this._heated = h("div", { class: "heat-controls", hidden: true },
      h("label", {}, t("alerts.heat"), this._weight),
      h("span", { class: "legend-row" }, h("span", { class: "muted" }, t("alerts.calm")), this._legend, h("span", { class: "muted" }, t("alerts.strange"))));
    this._curve = h("div", { class: "curve" });
    this._clip = h("div", { class: "clip" });
    this._view = {};
    this._stop = new AbortController();
    this._sized = new ResizeObserver(() => this._draw());
    this._sized.observe(this._canvas);
    this._lastScores = 0;
    this._timer = 0;
  }

  /** The picture, with what it is drawn with. */
  picture() {
    return [this._frame, this._other, this._heated];
  }

  /** Scores and clip. */
  more() {
    return [
      h("h2", {}, t("alerts.scores")),
      this._curve,
      laneNames([{ name: "lane-curve", text: t("curve.score") }, { name: "lane-threshold", text: t("curve.threshold") }, { name: "lane-alert", text: t("curve.alert") }]),
      h("h2", {}, t("alerts.clip")),
      this._clip,
    ];
  }

  end() {
    this._stop.abort();
    clearTimeout(this._timer);
    this._sized.disconnect();
    this._plot?.end();
  }

  /** Write what is known now; pictures and clip are loaded if there are new ones. */
  write(alert) {
    const before = this._alert;
    this._alert = alert;
    const another = this.seen && alert.has_picture && alert.picture_score !== this.seen.picture_score;
    this._other.hidden = !another;
    if (another && mayChange()) {
      const press = () => this.look();
      if (!this._other.firstChild) fill(this._other, t("alerts.picture.changed"), " ", h("button", { type: "button", onclick: press }, t("alerts.picture.newest")));
    } else if (another) this.look(); // nothing is judged here
    if (!this.seen && (!before || before.has_picture !== alert.has_picture)) this.look();
    if (!before || before.has_clip !== alert.has_clip || Boolean(before.end_ms) !== Boolean(alert.end_ms)) this._video(alert);
    if (!before || before.end_ms !== alert.end_ms) this._scores();
  }

  tick() {
    if (Date.now() - this._lastScores > AGAIN_MS) this._scores();
  }

  /** Show the newest picture, with the heat map and the boxes of this one: it is what is judged from now on. */
  async look() {
    const turn = (this._turn = (this._turn ?? 0) + 1);
    let alert = this._alert;
    const options = { signal: this._stop.signal };
    for (let tries = 0; alert.has_picture && tries < TRIES; tries += 1) {
      const [shown, heat] = await Promise.allSettled([
        load(`${address("alerts", alert.id, "picture")}?score=${alert.picture_score}`, options),
        alert.has_heat ? get(address("alerts", alert.id, "heat"), options) : null,
      ]);
      const now = await get(address("alerts", alert.id), options).catch(() => alert); // it may have changed meanwhile
      if (this._stop.signal.aborted || turn !== this._turn) return;
      if (now.picture_score === alert.picture_score) {
        if (shown.status === "fulfilled") this._show(now, shown.value, heat.value);
        break;
      }
      alert = now;
    }
    this._none.hidden = Boolean(this.seen);
    this._canvas.hidden = !this.seen;
    this._draw();
  }

  _show(alert, picture, heat) {
    this.seen = alert;
    this._other.hidden = true;
    this._canvas.setAttribute("aria-label", t("alerts.picture", { camera: shortName(alert.key), count: alert.boxes.length }));
    const frame_hw = alert.frame_hw ?? [picture.height, picture.width];
    this._view = { picture, heat: heat ? { ...heat, canvas: heatCanvas(heat) } : null, frame_hw, boxes: alert.boxes };
    const [height, width] = frame_hw;
    this._canvas.style.setProperty("aspect-ratio", `${width} / ${height}`);
    this._frame.closest(".alert-page")?.style.setProperty("--frame-share", width / height);
    this._heated.hidden = !heat;
    this.looked(alert);
  }

  _draw() {
    if (this._view.heat) legend(this._legend);
    if (this._canvas.hidden || !this._view.picture) return;
    draw(this._canvas, { ...this._view, weight: this._weight.value / 100 });
  }

  async _scores() {
    this._lastScores = Date.now();
    const alert = this._alert;
    const [from, to] = [alert.start_ms - AROUND_MS, (alert.end_ms ?? Date.now()) + (alert.end_ms ? AROUND_MS : 0)];
    const query = new URLSearchParams({ from_ms: from, to_ms: to, points: pointsFor(this._curve) });
    let scores;
    try {
      scores = await get(`${address("cameras", alert.key, "scores")}?${query}`, { signal: this._stop.signal });
    } catch {
      scores = { t_ms: [] };
    }
    if (this._stop.signal.aborted) return;
    if (!scores.t_ms.length) {
      if (!this._plot) fill(this._curve, h("p", { class: "muted" }, t("alerts.no_scores")));
      return;
    }
    if (!this._plot) {
      fill(this._curve);
      const label = t("alerts.curve", { score: score(alert.peak_score), threshold: score(alert.threshold) });
      this._plot = new Curve(this._curve, { height: 180, lanes: [{ colour: "--alarm" }], label });
    }
    this._plot.show(scores, from, to);
    this._plot.bands(0, scores.alerts.length ? scores.alerts : [{ from_ms: alert.start_ms, to_ms: alert.end_ms }]);
  }

  /** The clip, where there is one; one that is made a few seconds after the alert is asked for again. */
  async _video(alert) {
    clearTimeout(this._timer);
    if (!alert.clip) return this._say("alerts.clip.none");
    const place = address("alerts", alert.id, "clip");
    const status = alert.has_clip ? await this._status(place) : 0;
    if (this._stop.signal.aborted || alert !== this._alert) return undefined;
    if (status === 0 || RETRIED.includes(status)) {
      this._say(alert.end_ms ? "alerts.clip.soon" : "alerts.clip.later");
      this._timer = setTimeout(() => this._askAgain(), CLIP_AGAIN_MS);
    } else if (status >= 400) {
      this._say("alerts.clip.broken");
    } else {
      const poster = alert.has_picture ? address("alerts", alert.id, "picture") : null;
      const video = h("video", { src: `${place}${secondsIn(alert)}`, poster, controls: true, muted: true, playsinline: true, preload: "metadata", "aria-label": t("alerts.clip.label", { camera: shortName(alert.key) }) });
      video.addEventListener("error", () => this._say("alerts.clip.broken"));
      fill(this._clip, video, h("p", {}, h("a", { href: place, download: "" }, t("alerts.clip.save"))));
    }
    return undefined;
  }

  /** Return the status with which a clip would be sent; 0: there is no answer. */
  async _status(place) {
    try {
      return (await fetch(place, { method: "HEAD", credentials: "same-origin", signal: this._stop.signal })).status;
    } catch {
      return 0;
    }
  }

  _say(key) {
    fill(this._clip, h("p", { class: "muted" }, t(key)));
  }

  async _askAgain() {
    if (this._stop.signal.aborted) return;
    try {
      this._alert = await get(address("alerts", this._alert.id), { signal: this._stop.signal });
    } catch { /* it is asked again */ }
    await this._video(this._alert);
  }
}

/** Return where in its clip an alert is, as a fragment: one clip has all alerts of the same time. Its name has its begin. */
function secondsIn(alert) {
  const [, day, time] = /-(\d{8})T(\d{6})Z-/.exec(alert.clip) ?? [];
  if (!day) return "";
  const iso = `${day.replace(/(....)(..)(..)/, "$1-$2-$3")}T${time.replace(/(..)(..)(..)/, "$1:$2:$3")}Z`;
  const seconds = Math.floor((alert.start_ms - Date.parse(iso)) / 1000);
  return seconds > 0 ? `#t=${seconds}` : "";
}
