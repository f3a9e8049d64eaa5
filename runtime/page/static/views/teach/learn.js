// Learn: from what, how far it is, and how it ended.

import { address, del, mayChange, post, whenPressed } from "../../core/api.js";
import { fill, h, say } from "../../core/dom.js";
import { stepWords } from "../../core/status.js";
import { duration } from "../../core/time.js";
import { toldOrQuoted } from "../../core/told.js";
import { t } from "../../core/words.js";
import { Sheet } from "./sheet.js";

const STEPS = ["load", "compare", "grow", "count uses", "score held-out pictures", "show faults", "score again", "score alerts", "seal"];

/** Return what the learner does now, in plain words. */
function doing(learning) {
  if (learning.state === "queued") return learning.ahead ? t("learn.queued", { count: learning.ahead }) : t("learn.starts");
  if (learning.state === "activating") return t("learn.activating");
  return learning.step ? stepWords(learning.step) : t("learn.starts");
}

/** The part of the page that learns. */
export class Learn {
  constructor(state) {
    this._state = state;
    this._from = h("p", {});
    this._button = h("button", { type: "button", class: "main big", onclick: whenPressed(() => this.begin()) }, t("learn.now"));
    this._what = h("p", { class: "muted" }, t("learn.what"));
    this._sheet = new Sheet(state, { decisions: ["reject"], label: t("learn.pictures") });
    this._pictures = h("details", {}, h("summary", {}, t("learn.pictures")), this._sheet.elements());
    this._said = h("p", { role: "status" });
    this._step = h("p", { class: "muted" });
    this._bar = h("progress", { "aria-label": t("learn.progress") });
    this._stop = h("button", { type: "button", onclick: whenPressed(() => this._end()) }, t("cancel"));
    this._running = h("div", { class: "stack", hidden: true }, this._said, this._bar, this._step, mayChange() ? h("p", {}, this._stop) : null);
    this._ended = h("p", { class: "ended", role: "status", hidden: true });
  }

  elements() {
    return [this._from, h("div", { class: "stack" }, h("p", {}, this._button), this._what), this._running, this._ended, this._pictures];
  }

  write(state) {
    const ready = state.of("ready");
    const { learning } = state;
    const count = (kind) => ready.filter((one) => one.kind === kind).length;
    const parts = ["taught", "aside", "peak"].filter(count).map((kind) => t(`learn.sources.${kind}`, { count: count(kind) }));
    say(this._from, ready.length ? t("learn.sources", { count: ready.length, parts: parts.join(", ") }) : state.done ? "" : t("learn.nothing"));
    this._button.hidden = this._what.hidden = state.busy || !mayChange() || !ready.length;
    this._button.disabled = state.collecting;
    this._pictures.hidden = !ready.length;
    this._sheet.write(ready);
    this._running.hidden = !state.busy;
    this._stop.hidden = learning.state === "activating";
    if (state.busy) this._progress(learning);
    this._how(learning, state.done);
  }

  async begin() {
    await post(address("cameras", this._state.key, "learn-on"), { force: false });
    await this._state.load();
  }

  async _end() {
    await del(address("cameras", this._state.key, "learn-on"));
    await this._state.load();
  }

  _progress(learning) {
    say(this._said, doing(learning));
    const step = STEPS.indexOf(learning.step);
    if (step < 0) {
      this._bar.removeAttribute("value");
    } else {
      const within = learning.total ? learning.done / learning.total : 0;
      this._bar.value = (step + within) / STEPS.length;
    }
    const of = learning.total ? ` ${t("learn.done_of", { done: learning.done, total: learning.total })}` : "";
    say(this._step, t("learn.since", { duration: duration(learning.seconds * 1000) }) + of);
  }

  _how(learning, done) {
    const text = {
      done: () => (done ? t("learn.ended.done", { duration: duration(learning.seconds * 1000) }) : ""),
      waiting: () => t("learn.ended.waiting"),
      failed: () => t("learn.ended.failed", { reason: toldOrQuoted(learning.reason) }),
      idle: () => (learning.reason ? t("learn.ended.stopped") : ""),
    }[learning.state]?.() ?? "";
    this._ended.hidden = !text;
    this._ended.className = `ended ${{ done: "good", failed: "alarm", waiting: "warn" }[learning.state] ?? ""}`;
    fill(this._ended, text);
  }
}
