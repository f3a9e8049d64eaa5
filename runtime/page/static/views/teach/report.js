// Before and after: what no longer alarms, what is still found, and what has to be agreed to.

import { address, del, mayChange, post, whenPressed } from "../../core/api.js";
import { fill, h, icon } from "../../core/dom.js";
import { number, score, t } from "../../core/words.js";
import { confirmed } from "../../parts/dialog.js";
import { problemWords } from "./problems.js";
import { pictureAddress, thumbnail } from "./sheet.js";
import { backFrom } from "./versions.js";

const SHOWN = 12;
const WIDTH = 320;
const FULL_SCALE = 3; // times the threshold

/** The part of the page that compares. */
export class Report {
  constructor(state) {
    this._state = state;
    this._place = h("div", { class: "stack" });
  }

  elements() {
    return [this._place];
  }

  /** Return whether there is something to compare. */
  write(state) {
    const version = state.reported;
    const waits = Boolean(version?.waits) && state.learning.state === "waiting";
    const known = JSON.stringify([version?.id, waits, state.busy, state.pictures.filter((one) => one.alert).map((one) => one.id)]);
    if (known === this._known) return Boolean(version);
    this._known = known;
    if (!version) {
      fill(this._place, h("p", { class: "muted" }, t("report.none")));
      return false;
    }
    fill(this._place, waits ? this._consent(version) : this._serves(version), this._lines(version), this._pictures(version));
    return true;
  }

  /** It is in use, and the way back is here. */
  _serves(version) {
    const less = findsLess(version);
    return h("div", { class: "row" },
      h("p", { class: less ? "warn grow" : "muted grow" }, t(less ? "report.serves_less" : "report.serves")), backFrom(version, this._state));
  }

  /** Why it waits, and the two ways on. */
  _consent(version) {
    const key = this._state.key;
    const use = async () => {
      const text = t("report.use.ask");
      if (!(await confirmed(t("report.use"), { text, yes: t("report.use"), danger: true }))) return;
      await post(address("cameras", key, "learn-on"), { force: true });
      await this._state.load();
    };
    const discard = async () => {
      await del(address("cameras", key, "learn-on"));
      await this._state.load();
    };
    return h("div", { class: "panel consent stack" },
      h("h3", { class: "warn" }, icon("alert"), " ", t("report.waits")),
      h("ul", {}, version.problems.map((problem) => h("li", {}, problemWords(problem)))),
      h("p", {}, t("report.waits.do")),
      mayChange() ? h("p", { class: "row" },
        h("button", { type: "button", class: "main", onclick: whenPressed(discard) }, t("report.discard")),
        h("button", { type: "button", onclick: whenPressed(use) }, t("report.use"))) : null);
  }

  _lines(version) {
    const report = version.report;
    const lines = report ? fromReport(report, version) : fromVersion(version);
    return h("ul", { class: "verdicts" }, report ? this._silent(report) : null, lines.map(([fine, text, more]) =>
      h("li", { class: fine ? "good" : "warn" }, icon(fine ? "check" : "alert"), h("span", {}, h("strong", {}, text), more ? h("span", { class: "muted" }, ` ${more}`) : null))));
  }

  /** Alerts that were called fine, and are silent with what was learned of them: also where that was taken back later. */
  _silent(report) {
    const stored = new Map(this._state.pictures.filter((one) => one.alert).map((one) => [`${one.id}.png`, one]));
    const silent = report.learnt.filter((one) => one.found_before && !one.found_after && stored.has(one.name)).map((one) => stored.get(one.name));
    if (!silent.length) return null;
    const link = (one) => h("a", { href: `#/alerts/${encodeURIComponent(one.alert)}?of=${encodeURIComponent(this._state.key)}`, class: "silent-alert" }, thumbnail(this._state.key, one));
    return h("li", { class: "good" }, icon("check"), h("span", {}, h("strong", {}, t("report.line.silent", { count: silent.length })), h("span", { class: "silent-alerts" }, silent.slice(0, SHOWN).map(link))));
  }

  /** Learnt pictures: the score before over the score after. */
  _pictures(version) {
    const { report } = version;
    if (!report?.learnt.length) return null;
    const stored = new Map(this._state.pictures.map((one) => [one.id, one]));
    const pairs = report.learnt.slice(0, SHOWN).map((one) => this._pair(one, report, stored.get(one.name.replace(/\.png$/, ""))));
    return [
      h("h3", {}, t("report.learnt")),
      h("ul", { class: "pairs" }, pairs),
      version.pictures > pairs.length ? h("p", { class: "muted" }, t("report.more", { count: version.pictures - pairs.length })) : null,
    ];
  }

  _pair(one, report, stored) {
    const bar = (name, value, threshold, over) => h("div", { class: "pair-line" },
      h("span", { class: "pair-name" }, t(`report.${name}`)),
      h("span", { class: "bar-meter", "aria-hidden": "true" },
        h("span", { class: over ? "meter-over" : "meter-under", style: { width: `${Math.min(100, (100 * value) / threshold / FULL_SCALE)}%` } }),
        h("span", { class: "meter-threshold", style: { left: `${100 / FULL_SCALE}%` } })),
      h("span", { class: "pair-score" }, score(value), " ", h("span", { class: over ? "alarm" : "good" }, t(over ? "report.alarms" : "report.calm"))));
    return h("li", {},
      stored ? h("img", { class: "thumbnail", src: pictureAddress(this._state.key, stored.id, WIDTH), alt: "", loading: "lazy" }) : null,
      bar("before", one.before, report.threshold_before, one.found_before),
      bar("after", one.after, report.threshold_after, one.found_after));
  }
}

function fromReport({ learnt, golden, peaks, faults, threshold_before, threshold_after }, version) {
  const alarmed = found(learnt);
  const lines = [];
  if (alarmed) lines.push([lost(learnt) === alarmed, t("report.line.calm", { count: lost(learnt), of: alarmed })]);
  else lines.push([true, t("report.line.none_alarmed", { count: version.pictures })]);
  const kinds = [["faults", faults.found_before, faults.lost], ["golden", found(golden), lost(golden)], ["peaks", found(peaks), lost(peaks)]];
  for (const [name, before, gone] of kinds) if (before) lines.push(still(name, before, gone));
  return [...lines, threshold(threshold_before, threshold_after), entries(version)];
}

const found = (some) => some.filter((one) => one.found_before).length;
const lost = (some) => some.filter((one) => one.found_before && !one.found_after).length;

/** Return the line of what was found before: fine only where all of it is still found; else how many are lost. */
function still(name, before, gone) {
  const text = gone ? t(`report.lost.${name}`, { count: gone, of: before }) : t(`report.line.${name}`, { count: before, of: before });
  return [!gone, text, t(`report.line.${name}.what`)];
}

/** Return whether a version finds less than the one before it. */
export function findsLess({ report, faults: [, before, after] }) {
  if (!report) return after < before;
  return report.faults.lost > 0 || lost(report.golden) > 0 || lost(report.peaks) > 0;
}

/** The report is not kept: what the list of versions says. */
function fromVersion(version) {
  const [shown, before, after] = version.faults;
  const lines = before ? [[after >= before, t("report.line.faults_found", { shown, before, after }), t("report.line.faults.what")]] : [];
  return [...lines, [true, t("report.line.threshold_now", { after: score(version.threshold) })], entries(version)];
}

function threshold(before, after) {
  const percent = number(100 * (after / before - 1), 1);
  if (score(before) === score(after)) return [true, t("report.line.threshold_same", { after: score(after) })];
  const name = after > before ? "report.line.threshold_up" : "report.line.threshold_down";
  return [after <= before * 1.25, t(name, { before: score(before), after: score(after), percent: percent.replace(/^[-−]/, "") })];
}

function entries({ added, dropped, entries: total }) {
  const text = t("report.line.entries", { count: added, total });
  return [true, dropped ? `${text} ${t("report.line.dropped", { count: dropped })}` : text, t("report.line.entries.what")];
}

