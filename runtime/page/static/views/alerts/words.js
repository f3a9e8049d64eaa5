// What is said of an alert: in the list, and on its own page.

import { h } from "../../core/dom.js";
import { ago, clock, duration } from "../../core/time.js";
import { number, t } from "../../core/words.js";

/** Return when an alert began, and how long it was or is. */
export function when(alert) {
  return t("alerts.when", { clock: clock(alert.start_ms), ago: ago(alert.start_ms), duration: lasted(alert) });
}

/** Return how long an alert was, or is until now. */
export function length(alert) {
  const ms = (alert.end_ms ?? Date.now()) - alert.start_ms;
  return ms < 1000 ? t("alerts.seconds", { count: number(ms / 1000, 1) }) : duration(ms);
}

function lasted(alert) {
  return t(alert.end_ms ? "alerts.lasted" : "alerts.goes_on", { duration: length(alert) });
}

/** Return how far the highest score was over the threshold: "3.6 times the threshold". */
export function strength(alert) {
  return t("alerts.strength", { times: number(alert.peak_score / alert.threshold, 1) });
}

/** Return what a person has said of an alert, as small labels. */
export function labels(alert) {
  const some = [];
  if (!alert.end_ms) some.push(["open", t("alerts.label.open")]);
  if (alert.false_alarm && alert.peak_ms > alert.false_alarm.at_ms) some.push(["new", t("alerts.label.stronger")]);
  if (alert.false_alarm) some.push(["fine", t("alerts.label.fine")]);
  else if (alert.acknowledged) some.push(["seen", t("alerts.label.seen", { name: alert.acknowledged.by || t("someone") })]);
  else some.push(["new", t("alerts.label.new")]);
  if (alert.comments.length) some.push(["comments", t("alerts.label.comments", { count: alert.comments.length })]);
  return some.map(([name, text]) => h("span", { class: `label label-${name}` }, text));
}
