// What doctor finds on a device.

import { get, post, whenPressed } from "../../core/api.js";
import { fill, h, icon, say, scroller } from "../../core/dom.js";
import { mayChangeOf } from "../../core/live.js";
import { ago } from "../../core/time.js";
import { told, toldOrQuoted } from "../../core/told.js";
import { t, tOr } from "../../core/words.js";

const EVERY_MS = 2000;
const LEVELS = { fail: ["cross", "alarm"], warn: ["alert", "warn"], ok: ["check", "good"] };
const ORDER = ["fail", "warn"];

/** Return what was checked; the names of programs are the same in all languages. */
function aboutWords(about) {
  return tOr(`doctor.about.${about}`, about);
}

function row(finding) {
  const [shape, kind] = LEVELS[finding.level] ?? LEVELS.ok;
  const rank = ORDER.includes(finding.level);
  return h("tr", {}, h("td", { class: kind }, icon(shape), " ", t(`doctor.${finding.level in LEVELS ? finding.level : "ok"}`)), h("th", { scope: "row" }, aboutWords(finding.about)),
    h("td", {}, told(finding.says), rank && finding.remedy ? h("p", { class: "muted" }, told(finding.remedy)) : null));
}

/** Return the findings of a report, the worst first. */
function findings(report) {
  const all = Object.values(report).filter(Array.isArray).flat();
  const rank = (one) => (ORDER.includes(one.level) ? ORDER.indexOf(one.level) : ORDER.length);
  return all.sort((a, b) => rank(a) - rank(b));
}

/** Return a section with doctor's report on a device, and the function that ends it. */
export function doctor(device) {
  const path = `devices/${encodeURIComponent(device)}/doctor`;
  const state = h("p", { class: "muted", role: "status" });
  const place = scroller(t("device.doctor"));
  const start = h("button", { type: "button", onclick: whenPressed(async () => { write(await post(path)); watch(); }) }, t("doctor.start"));
  const node = h("section", { class: "panel stack" }, h("div", { class: "row" }, h("h2", { class: "grow" }, t("device.doctor")), mayChangeOf(device) ? start : null), state, place);
  let timer = 0;
  let ended = false;
  const write = (reply) => {
    const words = { never: t("doctor.never"), running: t("doctor.running"), failed: t("doctor.failed", { reason: toldOrQuoted(reply.reason) }) };
    say(state, words[reply.state] ?? t("doctor.done", { ago: ago(reply.started_ms) }));
    start.disabled = reply.state === "running";
    if (!reply.report) return fill(place);
    return fill(place, h("table", { class: "doctor" }, h("tbody", {}, findings(reply.report).map(row))),
      reply.not_checked?.length ? h("p", { class: "muted small" }, reply.not_checked.map(told).join(" ")) : null);
  };
  const watch = async () => {
    clearTimeout(timer);
    try {
      const reply = await get(path);
      if (ended) return;
      write(reply);
      if (reply.state === "running") timer = setTimeout(watch, EVERY_MS);
    } catch (error) {
      say(state, error.message);
    }
  };
  watch();
  return [node, () => { ended = true; clearTimeout(timer); }];
}
