// Metrics of a device as small charts, from when the page was opened on.

import { get } from "../../core/api.js";
import { fill, h, say, svg } from "../../core/dom.js";
import { history, NAMES, take } from "../../core/metrics.js";
import { duration } from "../../core/time.js";
import { number, t } from "../../core/words.js";

const EVERY_MS = 5000;
const SOON_MS = 10_000;
const [WIDTH, HEIGHT] = [240, 44];

/** Return the points of a line through values: a hole begins another one. */
function lines(values, low, high) {
  const parts = [[]];
  const step = WIDTH / Math.max(1, values.length - 1);
  values.forEach((value, i) => {
    if (value === null) parts.push([]);
    else parts.at(-1).push(`${(i * step).toFixed(1)},${(HEIGHT - 2 - ((value - low) / (high - low || 1)) * (HEIGHT - 4)).toFixed(1)}`);
  });
  return parts.filter((part) => part.length).map((part) => svg("polyline", { points: part.join(" "), fill: "none" }));
}

const short = (value) => number(value, Math.abs(value) < 10 ? 2 : 0);

class Small {
  constructor([name, word]) {
    this.name = name;
    this.value = h("b", {});
    this.span = h("span", { class: "muted small" });
    this.line = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.node = h("li", { class: "panel small-chart" }, h("div", { class: "row" }, h("span", { class: "grow" }, t(word)), this.value), this.line, this.span);
  }

  write(kept) {
    const values = kept.values[this.name];
    const known = values.filter((value) => value !== null);
    const last = values.at(-1);
    say(this.value, last === null || last === undefined ? "–" : short(last));
    if (!known.length) return say(this.span, kept.times.length ? t("metric.unknown") : t("metric.wait"));
    const [low, high] = [Math.min(0, ...known), Math.max(...known, 0)];
    this.line.replaceChildren(...lines(values, low, high * 1.1));
    if (Date.now() - kept.times[0] < SOON_MS) return say(this.span, ""); // a range of a moment says nothing
    return say(this.span, t("metric.range", { low: short(Math.min(...known)), high: short(Math.max(...known)), duration: duration(Date.now() - kept.times[0]) }));
  }
}

/** Return a section with the metrics of a device, and the function that ends it. */
export function charts(device) {
  const all = NAMES.map((name) => new Small(name));
  const wrong = h("p", { class: "warn" });
  const node = h("section", { "aria-label": t("device.metrics") }, h("h2", {}, t("device.metrics")), wrong, h("ul", { class: "small-charts" }, all.map((one) => one.node)));
  const stop = new AbortController();
  const ask = async () => {
    if (document.hidden) return;
    try {
      const reply = await get(`devices/${encodeURIComponent(device)}/metrics`, { signal: stop.signal });
      take(device, typeof reply.text === "string" ? reply.text : await reply.text());
      fill(wrong);
    } catch (error) {
      if (!stop.signal.aborted) say(wrong, error.message);
    }
    for (const one of all) one.write(history(device));
  };
  ask();
  const soon = setTimeout(ask, 1500); // rates need two texts
  const timer = setInterval(ask, EVERY_MS);
  return [node, () => { clearTimeout(soon); clearInterval(timer); stop.abort(); }];
}
