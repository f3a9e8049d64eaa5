// The score of a camera over time: highest and mean, the threshold, and alerts as bands that are links.

import { get } from "./api.js";
import { fill, h, say } from "./dom.js";
import { clock, hourCycle } from "./time.js";
import { language, score, t } from "./words.js";
import uPlot from "../lib/uPlot/uPlot.esm.js";

const SECOND = 1000;
const DAY = 86400 * SECOND;
const TALLEST = 5; // the chart ends at so many times the threshold, or all that is usual would lie on the ground
const ALL = 400 * DAY;

/** Spans that can be chosen: word, length in ms, and how often the curve is loaded again while it is shown. */
export const SPANS = {
  "span.1min": [60 * SECOND, 30 * SECOND],
  "span.10min": [600 * SECOND, 30 * SECOND],
  "span.1h": [3600 * SECOND, 15 * SECOND],
  "span.24h": [DAY, 60 * SECOND],
  "span.7d": [7 * DAY, 300 * SECOND],
  "span.all": [ALL, 600 * SECOND],
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Return the words of an axis of time: no more of date and time than the steps need. */
function ticks(_, splits, _axis, _space, step) {
  const format = (options) => new Intl.DateTimeFormat(language(), options);
  const date = format({ day: "numeric", month: "short" });
  const time = format({ hour: "2-digit", minute: "2-digit", second: step < 60 * SECOND ? "2-digit" : undefined, hourCycle: hourCycle() });
  let before = new Date().toDateString();
  return splits.map((ms) => {
    const today = new Date(ms).toDateString();
    const text = step >= DAY ? date.format(ms) : today === before ? time.format(ms) : `${time.format(ms)}\n${date.format(ms)}`;
    before = today;
    return text;
  });
}

/** Return the rows of a reply with a hole where nothing was scored, so that no line is drawn across it. */
function withHoles({ t_ms, max, mean, threshold }, hole) {
  const rows = [[], [], [], []];
  for (let i = 0; i < t_ms.length; i += 1) {
    if (i && t_ms[i] - t_ms[i - 1] > hole) [t_ms[i - 1] + 1, null, null, null].forEach((value, k) => rows[k].push(value));
    [t_ms[i], max[i], mean[i], threshold[i]].forEach((value, k) => rows[k].push(value));
  }
  return rows;
}

export class Chart {
  /** Make a chart for a camera's key; `node` goes into the page, then `choose` a span. */
  constructor(key) {
    this.key = key;
    this.place = h("div", { class: "plot" });
    this.words = h("p", { class: "unseen" });
    this.above = h("span", { class: "muted small" });
    this.now = h("button", { type: "button", hidden: true, onclick: () => this.choose(this.span) }, t("chart.now"));
    this.buttons = Object.keys(SPANS).map((word) => h("button", { type: "button", data: { word }, onclick: () => this.choose(word) }, t(word)));
    this.node = h("section", { class: "panel chart", "aria-label": t("chart.title") },
      h("div", { class: "row" }, h("h2", { class: "grow" }, t("chart.title")), this.above, this.now, h("div", { class: "spans", role: "group", "aria-label": t("chart.spans") }, this.buttons)),
      this.place, this.words);
    this.size = new ResizeObserver(() => this.plot?.setSize(this.box()));
    this.size.observe(this.place);
    this.colours = matchMedia("(prefers-color-scheme: dark)");
    this.again = () => this.make();
    this.colours.addEventListener("change", this.again);
    window.addEventListener("patchedge:theme", this.again);
    this.timer = setInterval(() => this.follow(), SECOND);
    this.rows = [[], [], [], []];
    this.bands = [];
  }

  end() {
    this.ended = true;
    clearInterval(this.timer);
    this.size.disconnect();
    this.colours.removeEventListener("change", this.again);
    window.removeEventListener("patchedge:theme", this.again);
    this.plot?.destroy();
  }

  box() {
    return { width: Math.max(200, this.place.clientWidth), height: Math.max(180, Math.min(320, window.innerHeight * 0.3)) };
  }

  /** Show a span up to now, and go on with it. */
  async choose(word) {
    this.span = word;
    this.zoom = null;
    this.now.hidden = true;
    for (const button of this.buttons) button.setAttribute("aria-pressed", button.dataset.word === word);
    await this.load();
  }

  /** Return the span that is shown, in ms. */
  range() {
    if (this.zoom) return this.zoom;
    const to = Date.now();
    const from = to - SPANS[this.span][0];
    return [this.span === "span.all" && this.rows[0].length ? Math.max(from, this.rows[0][0]) : from, to];
  }

  async load() {
    this.loaded = Date.now();
    const asked = this.range();
    const reply = await this.ask(asked);
    if (!reply) return;
    this.hole = Math.max(3 * SECOND, (4 * (asked[1] - asked[0])) / this.points());
    this.rows = withHoles(reply, this.hole);
    this.bands = reply.alerts;
    if (this.span === "span.all" && !this.zoom && this.rows[0].length && this.rows[0][0] - asked[0] > 0.1 * (asked[1] - asked[0])) {
      await this.load(); // with the points spread over what there is
      return;
    }
    if (this.plot) this.show();
    else this.make();
  }

  points() {
    return Math.min(2000, Math.max(200, this.place.clientWidth));
  }

  async ask([from, to]) {
    const mine = (this.turn = (this.turn ?? 0) + 1);
    const query = `from_ms=${Math.floor(from)}&to_ms=${Math.ceil(to)}&points=${this.points()}`;
    const reply = await get(`cameras/${encodeURIComponent(this.key)}/scores?${query}`);
    return this.ended || mine !== this.turn ? null : reply;
  }

  /** Add the score of a camera as it came, on spans in which one second can be seen. */
  add(camera) {
    if (!this.plot || this.zoom || camera.score === null || SPANS[this.span][0] > 3600 * SECOND) return;
    const last = this.rows[0].at(-1) ?? 0;
    if (camera.scored_ms <= last) return;
    if (last && camera.scored_ms - last > this.hole) [last + 1, null, null, null].forEach((value, k) => this.rows[k].push(value));
    [camera.scored_ms, camera.score, camera.score, camera.threshold].forEach((value, k) => this.rows[k].push(value));
  }

  /** Each second: move on, and now and then load again. */
  follow() {
    if (!this.plot || this.zoom || document.hidden) return;
    if (Date.now() - this.loaded > SPANS[this.span][1]) {
      this.load().catch((error) => console.error(error)); // the banner says what is wrong, and it is tried again
    } else if (SPANS[this.span][0] <= 3600 * SECOND) {
      this.show();
    }
  }

  show() {
    const [min, max] = this.range();
    this.plot.batch(() => {
      this.plot.setData(this.rows, false);
      this.plot.setScale("x", { min, max });
    });
    this.describe();
  }

  describe() {
    const highest = this.rows[1].reduce((most, value) => (value !== null && value > most ? value : most), -Infinity);
    say(this.words, highest === -Infinity ? t("chart.empty") : t("chart.words", { span: t(this.span), highest: score(highest), count: this.bands.length }));
  }

  make() {
    if (this.ended) return;
    this.plot?.destroy();
    const line = (name, word, more) => ({ label: t(word), stroke: colour(name), value: (_, value) => score(value), points: { show: false }, ...more });
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const [min, max] = this.range();
    this.plot = new uPlot({
      ...this.box(),
      ms: 1,
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
      scales: { x: { time: true, min, max }, y: { range: (_, low, high) => this.height(high) } },
      axes: [{ ...axis, values: ticks, space: 90 }, { ...axis, size: 52, values: (_, splits) => splits.map((value) => score(value)) }],
      series: [
        { label: t("chart.time"), value: (_, ms) => (ms === null ? "–" : clock(ms)) },
        line("--accent", "chart.max", { width: 1.5 }),
        line("--strong", "chart.mean", { width: 1 }),
        line("--alarm", "threshold", { width: 1.5, dash: [6, 4] }),
      ],
      hooks: { draw: [() => this.drawBands()], setSelect: [() => this.zoomed()] },
    }, this.rows, this.place);
    this.show();
  }

  height(high) {
    const limit = this.rows[3].findLast((value) => value !== null) ?? 0;
    const most = limit > 0 ? TALLEST * limit : Infinity;
    say(this.above, high > most ? t("chart.above", { highest: score(high) }) : "");
    return [0, 1.15 * Math.max(Math.min(high ?? 0, most), limit, 0.01)];
  }

  /** A span was drawn with the pointer: look at it closely, until another span is chosen. */
  zoomed() {
    const { left, width } = this.plot.select;
    if (width < 5) return;
    this.zoom = [this.plot.posToVal(left, "x"), this.plot.posToVal(left + width, "x")];
    this.now.hidden = false;
    this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.load().catch((error) => console.error(error));
  }

  /** Lay links over the alerts; each is wide enough for a finger's worth of sight. */
  drawBands() {
    const { over } = this.plot;
    const width = over.clientWidth;
    const links = this.bands.map((band) => {
      const left = Math.max(0, this.plot.valToPos(band.from_ms, "x"));
      const right = Math.min(width, this.plot.valToPos(band.to_ms ?? Date.now(), "x"));
      if (right < 0 || left > width) return null;
      const style = { left: `${left}px`, width: `${Math.max(6, right - left)}px` };
      const words = t("chart.alert", { time: clock(band.from_ms) });
      return h("a", { class: "band", href: `#/alerts/${encodeURIComponent(band.id)}?of=${encodeURIComponent(this.key)}`, "aria-label": words, title: words, style });
    });
    this.layer ??= h("div", { class: "bands" });
    if (this.layer.contains(document.activeElement)) return; // the link that has the focus stays
    fill(this.layer, links);
    if (this.layer.parentNode !== over) over.append(this.layer);
  }
}
