// A curve of scores over time, with the threshold as a line that can be dragged, and alerts as bands below it.

import { clock } from "../core/time.js";
import { h } from "../core/dom.js";
import { score } from "../core/words.js";
import uPlot from "../lib/uPlot/uPlot.esm.js";

const NEAR_PX = 14;
const LANE_PX = 12;
const WIDE_PX = 480;
const MAX_POINTS = 2000;
const EARLIER = 0.05;
const GAP_STEPS = 3;
const MIN_GAP_MS = 2000;

/** Return a colour of the style sheet. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "gray";
}

/** A curve inside of `place`. `lanes` are names of rows of bands; `drag(value)` is called while the line is dragged. */
export class Curve {
  constructor(place, { height = 220, lanes = [], drag = null, label = "" } = {}) {
    this._place = place;
    this._height = height;
    this._lanes = lanes;
    this._bands = lanes.map(() => []);
    this._drag = drag;
    this._label = label;
    this._data = [[], [], []];
    this._line = null;
    this._mark = null;
    this._plot = null;
    this._sized = new ResizeObserver(() => this._resize());
    this._sized.observe(place);
    this._dark = matchMedia("(prefers-color-scheme: dark)");
    this._redraw = () => this._plot?.redraw(false);
    this._dark.addEventListener("change", this._redraw);
    window.addEventListener("patchedge:theme", this._redraw);
  }

  end() {
    this._sized.disconnect();
    this._dark.removeEventListener("change", this._redraw);
    window.removeEventListener("patchedge:theme", this._redraw);
    this._plot?.destroy();
  }

  /** Show scores {t_ms, max, threshold, step_ms} of a time. */
  show(scores, from_ms, to_ms) {
    this._data = withGaps(scores);
    const first = Math.max(from_ms, (scores.t_ms[0] ?? from_ms) - EARLIER * (to_ms - (scores.t_ms[0] ?? from_ms)));
    this._range = [first / 1000, to_ms / 1000]; // nothing is shown of a time that has no scores
    if (!this._plot) this._make();
    else this._plot.setData(this._data);
  }

  /** Put the line that can be dragged somewhere; null: there is none. */
  line(value) {
    this._line = value;
    this._plot?.setData(this._data); // the range of the axis may change with it
  }

  /** Show bands [{from_ms, to_ms}] in a row. */
  bands(lane, bands) {
    this._bands[lane] = bands;
    this._plot?.redraw(false);
  }

  /** Mark a moment, such as where a clip is; null: none. */
  mark(ms) {
    this._mark = ms;
    this._plot?.redraw(false);
  }

  _make() {
    const width = this._place.clientWidth || 300;
    const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
    const options = {
      width,
      height: this._height,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      padding: [8, 8, 4 + LANE_PX * this._lanes.length, 0],
      scales: { x: { time: true, range: () => this._range }, y: { range: (_plot, _low, high) => this._values(high) } },
      axes: [
        { ...axis, values: (_plot, splits) => splits.map((second) => clock(second * 1000, { seconds: this._short() })), space: 90, gap: 4, size: 26 },
        { ...axis, size: 46, values: (_plot, splits) => splits.map((value) => score(value)) },
      ],
      series: [
        {},
        { stroke: () => colour("--accent"), width: 1.5, points: { show: false }, spanGaps: false },
        { stroke: () => colour("--alarm"), width: this._drag ? 1 : 1.5, dash: [5, 4], points: { show: false } },
      ],
      hooks: { draw: [(plot) => this._over(plot)] },
    };
    this._plot = new uPlot(options, this._data, this._place);
    this._plot.root.setAttribute("role", "img");
    this._plot.root.setAttribute("aria-label", this._label);
    if (this._drag) this._draggable(this._plot.over);
  }

  _short() {
    return this._range[1] - this._range[0] < 600;
  }

  _values(high) {
    const most = Math.max(high ?? 0, this._line ?? 0, ...this._data[2].filter((value) => value !== null).slice(0, 1));
    return [0, (most || 1) * 1.12];
  }

  _resize() {
    const width = this._place.clientWidth;
    if (this._plot && width && width !== this._plot.width) this._plot.setSize({ width, height: this._height });
  }

  _over(plot) {
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, plot.height * ratio);
    ctx.clip();
    const [low, high] = plot.scales.x.range(plot).map((second) => plot.valToPos(second, "x", true));
    this._lanes.forEach((lane, row) => {
      const top = plot.height * ratio - (this._lanes.length - row) * LANE_PX * ratio;
      const tall = (LANE_PX - 4) * ratio;
      ctx.fillStyle = colour("--line");
      ctx.fillRect(low, top + tall / 2, high - low, ratio);
      ctx.fillStyle = colour(lane.colour);
      for (const band of this._bands[row]) {
        const left = plot.valToPos(band.from_ms / 1000, "x", true);
        const right = plot.valToPos((band.to_ms ?? Date.now()) / 1000, "x", true);
        ctx.fillRect(left, top, Math.max(right - left, 2 * ratio), tall);
      }
    });
    if (this._mark !== null) this._vertical(ctx, plot, ratio);
    if (this._line !== null) this._handle(ctx, plot, ratio);
    ctx.restore();
  }

  _vertical(ctx, plot, ratio) {
    ctx.fillStyle = colour("--text");
    ctx.fillRect(plot.valToPos(this._mark / 1000, "x", true), plot.bbox.top, 1.5 * ratio, plot.bbox.height);
  }

  /** The line that can be dragged, with a knob at its right end. */
  _handle(ctx, plot, ratio) {
    const y = plot.valToPos(this._line, "y", true);
    const { left, width } = plot.bbox;
    ctx.fillStyle = colour("--accent");
    ctx.fillRect(left, y - ratio, width, 2 * ratio);
    ctx.beginPath();
    ctx.arc(left + width - 12 * ratio, y, 8 * ratio, 0, 2 * Math.PI);
    ctx.fill();
    ctx.fillStyle = colour("--panel");
    for (const [down, shape] of [[-3, -1], [3, 1]]) {
      const x = left + width - 12 * ratio;
      ctx.beginPath();
      ctx.moveTo(x - 3 * ratio, y + (down - shape) * ratio);
      ctx.lineTo(x + 3 * ratio, y + (down - shape) * ratio);
      ctx.lineTo(x, y + (down + 2 * shape) * ratio);
      ctx.fill();
    }
  }

  _draggable(over) {
    over.classList.add("curve-drags");
    const value = (event) => {
      const box = over.getBoundingClientRect();
      return Math.max(this._plot.posToVal(event.clientY - box.top, "y"), 1e-6);
    };
    const near = (event) => {
      if (this._line === null) return false;
      const y = this._plot.valToPos(this._line, "y");
      return Math.abs(event.clientY - over.getBoundingClientRect().top - y) < NEAR_PX;
    };
    over.addEventListener("pointermove", (event) => {
      over.classList.toggle("curve-near", near(event));
      if (over.hasPointerCapture(event.pointerId)) this._drag(value(event));
    });
    over.addEventListener("pointerdown", (event) => {
      if (event.button || !near(event)) return;
      event.preventDefault();
      over.setPointerCapture(event.pointerId);
    });
  }
}

/** Return times, scores and thresholds, with nothing where nothing was scored for a while. */
function withGaps({ t_ms, max, threshold, step_ms }) {
  const columns = [[], [], []];
  const add = (...values) => values.forEach((value, i) => columns[i].push(value));
  const longest = Math.max(GAP_STEPS * step_ms, MIN_GAP_MS);
  t_ms.forEach((ms, i) => {
    if (i && ms - t_ms[i - 1] > longest) add((t_ms[i - 1] + step_ms) / 1000, null, threshold[i - 1]);
    add(ms / 1000, max[i], threshold[i]);
  });
  return columns;
}

/** Return what names the rows of bands beside a curve. */
export function laneNames(lanes) {
  return h("ul", { class: "lanes" }, lanes.map((lane) => h("li", { class: `lane ${lane.name}` }, h("span", { class: "lane-colour" }), h("span", {}, lane.text))));
}

/** Number of points that a curve of this place can show. */
export function pointsFor(place) {
  return Math.min(Math.max(200, place.clientWidth || WIDE_PX), MAX_POINTS);
}
