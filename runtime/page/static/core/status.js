// What is to be said about a camera, in plain words.

import { h, icon, say } from "./dom.js";
import { link } from "./live.js";
import { clock, duration } from "./time.js";
import { drifted, told } from "./told.js";
import { number, score, t, tOr } from "./words.js";

/** States in which pictures come, but cannot be judged. */
const UNJUDGED = new Set(["dark", "blurred", "moved"]);

const MAX_PERCENT = 999; // of the threshold; beyond it a number says no more

/** Return whether pictures of a camera show how things are now, if they come: they may be too dark to judge. */
export function delivers(camera) {
  return camera.state === "live" || UNJUDGED.has(camera.state);
}

/** Return what to write as the state: that of the camera, or why it is not known. `fresh`: its picture is of now. */
export function shownState(camera, fresh) {
  if (link.state === "lost") return t("state_lost");
  if (camera.state === "live" && !fresh) return t("live_no_picture");
  return stateLine(camera);
}

/** Return the state in words: "Live", or "Not connected since 14:02: camera unplugged". */
export function stateLine(camera) {
  const state = tOr(`state.${camera.state}`, camera.state);
  if (camera.state === "live") return state;
  const since = camera.since_ms ? t("state_since", { state, time: clock(camera.since_ms, { seconds: false }) }) : state;
  return camera.reason ? `${since}: ${told(camera.reason)}` : since;
}

/** Return what a learner does, from the device's name of the step. */
export function stepWords(step) {
  return tOr(`learn.step.${step.replaceAll(" ", "_")}`, step);
}

/** Return what else is to be known, as [kind, words] each: drift, burn-in, learning, teaching, a device that does less. */
export function notes(camera) {
  const all = [];
  if (camera.drift) {
    all.push(["warn", camera.drift.since_ms
      ? t("note.drift_since", { text: drifted(camera.drift.text), duration: duration(Date.now() - camera.drift.since_ms) })
      : t("note.drift", { text: drifted(camera.drift.text) })]);
  }
  if (camera.burn_in_left_s !== null && camera.burn_in_left_s !== undefined) {
    all.push(["info", t("note.burn_in", { duration: duration(camera.burn_in_left_s * 1000) })]);
  }
  if (camera.degraded) all.push(["warn", t("note.degraded", { level: camera.degraded })]);
  if (camera.learning) {
    const { state, step, done, total } = camera.learning;
    if (state === "running") all.push(["info", total ? t("note.learning_step", { step: stepWords(step), part: Math.round((100 * done) / total) }) : t("note.learning")]);
    if (state === "queued") all.push(["info", t("note.queued")]);
    if (state === "waiting") all.push(["warn", t("note.waiting")]);
  }
  if (camera.teaching?.state === "running") {
    const { taught, wanted } = camera.teaching;
    all.push(["info", wanted ? t("note.teaching", { taught, wanted }) : t("note.teaching_open", { taught })]);
  }
  return all;
}

/** A list of notes() that changes only where the words do. */
export class Notes {
  constructor() {
    this.node = h("ul", { class: "notes" });
    this.shown = "";
  }

  write(camera) {
    const now = notes(camera);
    const text = JSON.stringify(now);
    if (text === this.shown) return;
    this.shown = text;
    this.node.replaceChildren(...now.map(([kind, words]) => h("li", { class: kind === "warn" ? "warn" : "" }, kind === "warn" ? icon("drift") : null, h("span", {}, words))));
  }
}

/** The score against the threshold, as a bar with the threshold in its middle, and in numbers. */
export class ScoreBar {
  constructor() {
    this.fill = h("span", { class: "fill" });
    this.value = h("b", {});
    this.limit = h("span", { class: "muted" });
    this.bar = h("span", { class: "score-meter", role: "meter", "aria-label": t("score"), "aria-valuemin": 0, "aria-valuemax": 2, "aria-valuenow": 0 },
      this.fill, h("span", { class: "mark" }));
    this.node = h("div", { class: "scorebar" }, this.bar, h("span", { class: "numbers" }, this.value, " ", this.limit));
  }

  /** Show a score; null where nothing is judged now. */
  write(value, threshold) {
    const known = value !== null && value !== undefined && threshold > 0;
    const part = known ? Math.min(2, value / threshold) : 0;
    this.fill.style.setProperty("width", `${(50 * part).toFixed(1)}%`);
    this.node.classList.toggle("over", known && value > threshold);
    this.bar.setAttribute("aria-valuenow", part.toFixed(2));
    this.bar.setAttribute("aria-valuetext", known ? t("score_of", { score: score(value), threshold: score(threshold) }) : t("no_score"));
    say(this.value, known ? score(value) : "–");
    say(this.limit, threshold > 0 ? t("of_threshold", { threshold: score(threshold) }) : "");
  }
}

/** Return the words for an open alert where there is little room: "Alert for 42 s". */
export function alertShort(alert) {
  return t("alert_short", { duration: duration(Date.now() - alert.start_ms) });
}

/** Return the words for the button or line of an open alert: "Alert for 42 s, 150 % of threshold". */
export function alertLine(alert) {
  const percent = (100 * alert.peak_score) / alert.threshold;
  const peak = !(alert.threshold > 0) ? "–" : percent > MAX_PERCENT ? `> ${MAX_PERCENT}` : number(percent, 0);
  return t("alert_line", { duration: duration(Date.now() - alert.start_ms), peak });
}
