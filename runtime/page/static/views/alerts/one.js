// One alert: what was seen, how strong it was, what to do about it.

import { ApiError, address, attempt, get } from "../../core/api.js";
import { fill, h, icon } from "../../core/dom.js";
import { on, shortName } from "../../core/live.js";
import { ago, clock, eachSecond, zone } from "../../core/time.js";
import { score, t } from "../../core/words.js";
import { keyHelp, onKeys } from "../../parts/keys.js";
import { Deciding } from "./deciding.js";
import { Evidence } from "./evidence.js";
import { alertAddress, beside, listAddress } from "./order.js";
import { labels, length, strength } from "./words.js";

/** Show an alert in an element. Return the function that ends it. */
export async function showAlert(root, id, of) {
  const alert = await load(id);
  if (!alert) {
    fill(root, h("p", {}, h("a", { href: listAddress(of) }, t("alerts.back"))), h("div", { class: "empty" }, h("h2", {}, t("alerts.gone"))));
    return () => {};
  }
  const view = new OneAlert(alert, of);
  fill(root, view.elements());
  view.write(alert);
  const { newer, older } = beside(id);
  const go = (other) => () => { if (other) location.hash = alertAddress(other, of); };
  const back = () => { location.hash = listAddress(of, id); };
  const ended = [
    on("alert", (other) => { if (other.id === id) view.write(other); }),
    on("cameras", () => view.write(view.alert)),
    on("link", (link) => { if (link.state === "open") load(id).then((again) => again && view.write(again)); }),
    eachSecond(() => view.tick()),
    onKeys({
      j: go(older), ArrowRight: go(older), k: go(newer), ArrowLeft: go(newer),
      f: () => view.deciding.fine.byKey(), a: () => view.deciding.seenByKey(), c: () => view.deciding.comment.focus(),
      u: back, Escape: back,
    }),
    () => { view.evidence.end(); view.deciding.fine.end(); },
  ];
  return () => { for (const end of ended) end(); };
}

async function load(id) {
  try {
    return await get(address("alerts", id));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    await attempt(() => { throw error; });
    return null;
  }
}

class OneAlert {
  constructor(alert, of) {
    this.id = alert.id;
    this.of = of;
    this.labels = h("span", { class: "labels" });
    this.facts = h("dl", { class: "facts" });
    this.evidence = new Evidence();
    this.deciding = new Deciding(alert, (changed) => this.write(changed), this.evidence);
    this.evidence.looked = () => this.deciding.fine.redraw();
  }

  elements() {
    return [
      this._head(),
      h("div", { class: "alert-page" },
        h("section", { class: "alert-evidence", "aria-label": t("alerts.evidence") }, this.evidence.picture()),
        h("section", { class: "alert-deciding", "aria-label": t("alerts.deciding") }, this.facts, this.deciding.elements()),
        h("section", { class: "alert-more", "aria-label": t("alerts.more_evidence") }, this.evidence.more())),
      keyHelp([["F"], t("keys.fine")], [["A"], t("keys.seen")], [["C"], t("keys.comment")], [["J", "→"], t("keys.older")],
        [["K", "←"], t("keys.newer")], [["Esc"], t("keys.back")]),
    ];
  }

  write(alert) {
    this.alert = alert;
    this.evidence.write(alert);
    this.deciding.write(alert);
    fill(this.labels, labels(alert));
    this._facts();
  }

  tick() {
    if (this.alert.end_ms) return;
    this._facts();
    this.evidence.tick();
    this.deciding.fine.tick();
  }

  _head() {
    const { newer, older } = beside(this.id);
    const link = (id, name) => h("a", { class: "button", href: id ? alertAddress(id, this.of) : null, "aria-disabled": id ? null : "true" }, t(name));
    return h("div", { class: "view-head" },
      h("a", { class: "up", href: listAddress(this.of, this.id), "aria-label": t("alerts.back") }, icon("back")),
      h(this.of ? "h2" : "h1", {}, t("alerts.heading")), this.labels,
      h("span", { class: "beside" }, newer || older ? [link(newer, "alerts.newer"), link(older, "alerts.older")] : null));
  }

  _facts() {
    const alert = this.alert;
    const lines = [
      ["alerts.camera", h("a", { href: `#/camera/${encodeURIComponent(alert.key)}` }, shortName(alert.key))],
      ["alerts.began", `${clock(alert.start_ms)} ${zone(alert.start_ms)} (${ago(alert.start_ms)})`],
      ["alerts.length", length(alert)],
      ["alerts.highest", t("alerts.highest_value", { score: score(alert.peak_score), strength: strength(alert), threshold: score(alert.threshold) })],
    ];
    fill(this.facts, lines.map(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, value)]));
  }
}
