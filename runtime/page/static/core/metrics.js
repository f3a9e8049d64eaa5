// Metrics of a device, from the text format of Prometheus to numbers over time.

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const KEPT = 360;

/** Return the samples of a text: [{name, labels, value}]. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c))]));
    samples.push({ name: found[1], labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

/** Return the sum of samples of a name whose labels are these; null if there is none. */
export function total(samples, name, labels = {}) {
  const wanted = Object.entries(labels);
  const found = samples.filter((one) => one.name === name && wanted.every(([key, value]) => one.labels[key] === value) && !Number.isNaN(one.value));
  return found.length ? found.reduce((sum, one) => sum + one.value, 0) : null;
}

/** What two texts of metrics, some seconds apart, say about a device: one number for each chart. */
const MEASURES = [
  ["fps", "metric.fps", (a, b, s) => rate(a, b, s, "patchedge_frames_captured_total")],
  ["dropped", "metric.dropped", (a, b, s) => rate(a, b, s, "patchedge_frames_dropped_total")],
  ["age", "metric.age", (a, b) => 1000 * quantile(a, b, "patchedge_frame_age_seconds", 0.95)],
  ["alerts", "metric.alerts", (_, b) => total(b, "patchedge_alerts_total")],
  ["temperature", "metric.temperature", (_, b) => total(b, "patchedge_temperature_celsius")],
  ["memory", "metric.memory", (_, b) => megabytes(total(b, "patchedge_memory_available_bytes"))],
  ["level", "metric.level", (_, b) => total(b, "patchedge_degradation_level")],
];

/** Names and words of the measures. */
export const NAMES = MEASURES.map(([name, word]) => [name, word]);

const megabytes = (bytes) => (bytes === null ? null : bytes / 1e6);

function rate(before, after, seconds, name) {
  const [a, b] = [total(before, name), total(after, name)];
  return a === null || b === null || b < a ? null : (b - a) / seconds; // less than before: it was restarted
}

/** Return a quantile of what was added to a histogram between two texts: the upper bound of its bucket. */
function quantile(before, after, name, part) {
  const bounds = [...new Set(after.filter((one) => one.name === `${name}_bucket`).map((one) => one.labels.le))];
  const counts = bounds.map((le) => [Number(le.replace("+Inf", "Infinity")), (total(after, `${name}_bucket`, { le }) ?? 0) - (total(before, `${name}_bucket`, { le }) ?? 0)]);
  counts.sort((a, b) => a[0] - b[0]);
  const all = counts.at(-1)?.[1] ?? 0;
  if (all <= 0) return NaN;
  return counts.find(([, count]) => count >= part * all)[0];
}

const histories = new Map();

/** Return what is kept of a device while the page is open: {times, values by name, last}. */
export function history(device) {
  if (!histories.has(device)) histories.set(device, { times: [], values: Object.fromEntries(NAMES.map(([name]) => [name, []])), last: null });
  return histories.get(device);
}

/** Take a text of metrics of a device as of now. */
export function take(device, text, now = Date.now()) {
  const kept = history(device);
  const samples = parse(text);
  if (kept.last) {
    kept.times.push(now);
    for (const [name, , measure] of MEASURES) {
      const value = measure(kept.last.samples, samples, (now - kept.last.at) / 1000);
      kept.values[name].push(Number.isFinite(value) && value !== null ? value : null);
    }
    if (kept.times.length > KEPT) {
      kept.times.shift();
      for (const values of Object.values(kept.values)) values.shift();
    }
  }
  kept.last = { at: now, samples };
}
