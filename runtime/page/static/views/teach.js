// Teach a camera (#/teach/K): collect, judge what was set aside, learn, compare, go back. In this order, on one page.

import { ApiError, mayChange, showError, whenPressed } from "../core/api.js";
import { fill, h, icon } from "../core/dom.js";
import { clock } from "../core/time.js";
import { drifted } from "../core/told.js";
import { t } from "../core/words.js";
import { keyHelp } from "../parts/keys.js";
import { Collect } from "./teach/collect.js";
import { Learn } from "./teach/learn.js";
import { findsLess, Report } from "./teach/report.js";
import { Sheet } from "./teach/sheet.js";
import { TeachState } from "./teach/state.js";
import { InUse, Versions } from "./teach/versions.js";

/** Show this view in an element. Return the function that ends it. */
export async function show(root, parameters) {
  if (!parameters.key) {
    location.replace("#/live");
    return () => {};
  }
  const page = new Teach(parameters.key);
  fill(root, page.elements());
  await page.state.load();
  return () => page.state.end();
}

class Teach {
  constructor(key) {
    this.state = new TeachState(key, () => this.write(), (error) => this.failed(error));
    this.drift = h("div", { class: "panel drift", hidden: true });
    this.next = h("div", { class: "panel next", "aria-live": "polite" });
    this.collect = new Collect(this.state);
    this.aside = new Sheet(this.state, { decisions: ["accept", "reject"], all: true, label: t("teach.aside") });
    this.asideNone = h("p", { class: "muted" }, t("teach.aside.none"));
    this.judged = new Sheet(this.state, { decisions: ["accept", "reject"], judged: true, label: t("teach.judged") });
    this.judgedBox = h("details", { hidden: true }, h("summary", {}, t("teach.judged")), this.judged.elements());
    this.back = new Sheet(this.state, { decisions: ["accept"], all: true, judged: true, label: t("teach.taken_back") });
    this.backBox = h("div", { class: "stack", hidden: true }, h("h3", {}, t("teach.taken_back")), this.back.elements());
    this.learn = new Learn(this.state);
    this.report = new Report(this.state);
    this.versions = new Versions(this.state);
    this.inUse = new InUse();
    this.sections = {};
  }

  elements() {
    const section = (name, number, ...content) => {
      const made = h("section", { class: "panel step", id: `step-${name}`, "aria-labelledby": `head-${name}` },
        h("h2", { id: `head-${name}`, tabindex: -1 }, number ? h("span", { class: "step-number", "aria-hidden": "true" }, number) : null, t(`teach.step.${name}`)), content);
      this.sections[name] = made;
      return made;
    };
    return [
      this.drift,
      this.inUse.node,
      this.next,
      h("div", { class: "teach-steps" },
        section("collect", 1, this.collect.elements()),
        section("aside", 2, h("p", { class: "muted" }, t("teach.aside.what")), this.asideNone, this.aside.elements(), this.backBox, this.judgedBox),
        section("learn", 3, this.learn.elements()),
        section("report", 4, this.report.elements()),
        section("versions", 0, this.versions.elements())),
      keyHelp([["←", "→"], t("keys.pictures")], [["Y"], t("keys.accept")], [["N"], t("keys.reject")], [["Enter"], t("keys.enlarge")]),
    ];
  }

  write() {
    const { state } = this;
    this._failed = null;
    const aside = state.of("aside").sort((one, other) => other.score / other.threshold - one.score / one.threshold);
    this.collect.write(state);
    this.aside.write(aside);
    this.asideNone.hidden = aside.length > 0;
    const { takenBack } = state;
    const back = state.of("rejected", "fault").filter((one) => takenBack.has(one.id));
    this.backBox.hidden = !back.length;
    this.back.write(back);
    const judged = state.of("rejected").filter((one) => !takenBack.has(one.id)).concat(state.of("ready").filter((one) => one.kind === "aside"));
    this.judgedBox.hidden = !judged.length;
    this.judged.write(judged);
    this.learn.write(state);
    this.report.write(state);
    this.versions.write(state);
    this.inUse.write(state);
    this._drift(state.camera?.drift);
    this._next(aside.length, state.of("ready").length);
  }

  failed(error) {
    if (this._failed === error.message) return; // it is asked again and again: it is said once
    this._failed = error.message;
    this._known = null;
    fill(this.next, h("p", { class: "warn" }, h("strong", {}, error.message)));
    if (!(error instanceof ApiError)) showError(error);
  }

  _drift(drift) {
    this.drift.hidden = !drift;
    if (!drift) return;
    fill(this.drift, h("h2", { class: "warn" }, icon("drift"), " ", t("teach.drift")),
      h("p", {}, drift.since_ms ? [t("teach.drift.since", { clock: clock(drift.since_ms) }), " "] : null, drifted(drift.text), "."),
      h("p", { class: "muted" }, t("teach.drift.do")));
  }

  /** Say what to do now, with one button for it. */
  _next(aside, ready) {
    const { state } = this;
    const [name, count, action] = this._now(aside, ready);
    const known = `${name} ${count}`;
    if (known === this._known) return;
    this._known = known;
    const button = action && mayChange() ? h("button", { type: "button", class: "main big", onclick: whenPressed(action) }, t(`teach.next.${name}.do`, { count })) : null;
    this.next.classList.toggle("next-warn", name === "less" || name === "waiting");
    fill(this.next, h("div", { class: "row" }, h("p", { class: "grow" }, h("strong", {}, t(`teach.next.${name}`, { count }))), button));
    for (const [step, section] of Object.entries(this.sections)) section.classList.toggle("step-now", step === { collecting: "collect", start: "collect", again: "collect", alert: "collect", other: "collect", aside: "aside", learning: "learn", ready: "learn", waiting: "report", done: "report", less: "report", failed: "learn" }[name]);
    if ((name === "done" || name === "less") && state.watched) this.sections.report.querySelector("h2").scrollIntoView({ block: "start" });
    state.watched = name === "learning";
  }

  _now(aside, ready) {
    const { state } = this;
    const to = (name) => () => this._to(name);
    if (state.busy) return ["learning", 0, to("learn")];
    if (state.learning.state === "waiting") return ["waiting", 0, to("report")];
    if (state.collecting) return ["collecting", 0, to("collect")];
    if (aside) return ["aside", aside, () => this._look()];
    if (ready) return ["ready", ready, () => this.learn.begin()];
    const { alert } = state.camera ?? {};
    const look = () => { location.hash = `#/alerts/${encodeURIComponent(alert.id)}?of=${encodeURIComponent(state.key)}`; };
    if (state.done && alert?.false_alarm && alert.peak_ms > state.since) return ["other", 0, look];
    if (state.done && alert?.false_alarm) return ["again", 0, () => this.collect.begin()];
    if (state.done) return [state.reported && findsLess(state.reported) ? "less" : "done", 0, to("report")];
    if (alert && !alert.false_alarm) return ["alert", 0, look];
    return ["start", 0, () => this.collect.begin()];
  }

  /** Go to the first picture that was set aside: from there the keys judge it. */
  _look() {
    const first = this.aside.first();
    if (!first) return this._to("aside");
    this.sections.aside.scrollIntoView({ block: "start", behavior: "smooth" });
    first.focus({ preventScroll: true, focusVisible: true });
    return undefined;
  }

  _to(name) {
    const head = this.sections[name].querySelector("h2");
    head.scrollIntoView({ block: "start", behavior: "smooth" });
    head.focus({ preventScroll: true });
  }
}
