// The list of alerts, the newest first; new ones appear by themselves.

import { address, attempt, get } from "../../core/api.js";
import { fill, h, say } from "../../core/dom.js";
import { on, shortName } from "../../core/live.js";
import { eachSecond } from "../../core/time.js";
import { t } from "../../core/words.js";
import { keyHelp, onKeys } from "../../parts/keys.js";
import { picture } from "../../parts/picture.js";
import { Filter } from "./filter.js";
import { alertAddress, listAddress, remember } from "./order.js";
import { labels, strength, when } from "./words.js";

const PAGE = 50;
const MAX_SHOWN = 1000;

let visited = ""; // the alert that was looked at last: its row has the focus when one comes back

/** Show the list in an element. Return the function that ends it. */
export async function showList(root, query) {
  const list = new List(query);
  fill(root, list.elements());
  const ended = [
    on("alert", (alert) => list.take(alert)),
    on("cameras", () => { list.filter.writeCameras(); list.draw(); }),
    on("link", (link) => { if (link.state === "open") list.load(); }),
    eachSecond(() => list.tick()),
    onKeys({
      j: () => list.step(1), k: () => list.step(-1), ArrowDown: () => list.step(1), ArrowUp: () => list.step(-1),
      "/": () => root.querySelector("input[type=search]").focus(),
    }),
  ];
  await list.load();
  list.focus(visited);
  return () => { for (const end of ended) end(); };
}

class List {
  constructor(query) {
    this.filter = new Filter(query, () => this.load());
    this.alerts = new Map();
    this.next = null;
    this.turn = 0;
    this.rows = h("ol", { class: "alerts", "aria-label": t("title.alerts") });
    this.count = h("p", { class: "muted", role: "status" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.loadMore() }, t("alerts.more"));
    this.none = h("div", { class: "empty", hidden: true });
    this.exports = h("p", { class: "muted exports" });
  }

  elements() {
    return [
      h("div", { class: "view-head" }, h(this.filter.of ? "h2" : "h1", {}, t("title.alerts")), this.exports),
      this.filter.form,
      this.count,
      this.rows,
      this.none,
      h("p", { class: "buttons" }, this.more),
      keyHelp([["J", "↓"], t("keys.next")], [["K", "↑"], t("keys.last")], [["Enter"], t("keys.open")], [["/"], t("keys.search")]),
    ];
  }

  /** Load the first page. */
  async load() {
    const mine = ++this.turn;
    const query = this.filter.query();
    this._exports(query);
    query.set("limit", PAGE);
    const reply = await attempt(() => get(`alerts?${query}`));
    if (!reply || mine !== this.turn) return;
    this.alerts = new Map(reply.alerts.map((alert) => [alert.id, alert]));
    this.next = reply.next;
    this.draw();
  }

  async loadMore() {
    const mine = this.turn;
    const query = this.filter.query();
    query.set("limit", PAGE);
    query.set("before", this.next);
    const reply = await attempt(() => get(`alerts?${query}`));
    if (!reply || mine !== this.turn) return;
    for (const alert of reply.alerts) this.alerts.set(alert.id, alert);
    this.next = reply.next;
    const focused = reply.alerts[0]?.id;
    this.draw();
    this.focus(focused);
  }

  /** An alert began, changed or ended. */
  take(alert) {
    const known = this.alerts.get(alert.id);
    if (!this.filter.takes(alert)) {
      if (known) this.alerts.delete(alert.id);
    } else if (!known && this.filter.values.text) {
      this.load(); // whether the text is in it, the page's process knows
      return;
    } else {
      this.alerts.set(alert.id, alert);
    }
    this.draw();
  }

  /** Write the ages again. */
  tick() {
    for (const row of this.rows.children) say(row.querySelector(".alert-when"), when(this.alerts.get(row.dataset.id)));
  }

  /** Give the focus to the row after or before the one that has it. */
  step(by) {
    const links = [...this.rows.querySelectorAll("a")];
    const here = links.indexOf(document.activeElement);
    if (here < 0 && document.activeElement !== document.body && this.rows.contains(document.activeElement)) return false;
    links[Math.min(Math.max(here < 0 ? 0 : here + by, 0), links.length - 1)]?.focus();
    return true;
  }

  focus(id) {
    if (id) this.rows.querySelector(`[data-id="${CSS.escape(id)}"] a`)?.focus();
  }

  draw() {
    const sorted = [...this.alerts.values()].sort((a, b) => b.start_ms - a.start_ms).slice(0, MAX_SHOWN);
    const before = new Map([...this.rows.children].map((row) => [row.dataset.id, row]));
    const rows = sorted.map((alert) => this._row(alert, before.get(alert.id)));
    for (const row of before.values()) if (!rows.includes(row)) row.remove();
    rows.forEach((row, i) => { if (this.rows.children[i] !== row) this.rows.insertBefore(row, this.rows.children[i] ?? null); });
    remember(sorted.map((alert) => alert.id), this.filter.address());
    this.more.hidden = !this.next;
    say(this.count, sorted.length ? t(this.next ? "alerts.count_more" : "alerts.count", { count: sorted.length }) : "");
    this.none.hidden = sorted.length > 0;
    if (!sorted.length) fill(this.none, this._nothing());
  }

  /** Return the row of an alert: the one that is there, unless something else is known of it now. */
  _row(alert, there) {
    const name = shortName(alert.key);
    const state = JSON.stringify([name, alert.end_ms, alert.peak_score, alert.acknowledged, alert.false_alarm, alert.comments.length, alert.has_picture, alert.boxes]);
    if (there?.dataset.state === state) return there;
    const row = there ?? h("li", { data: { id: alert.id } });
    const focused = row.contains(document.activeElement);
    row.dataset.state = state;
    const shown = alert.has_picture ? `${address("alerts", alert.id, "picture")}?peak=${alert.peak_score}` : "";
    fill(row, h("a", { class: "alert-row", href: alertAddress(alert.id, this.filter.of), onclick: () => { visited = alert.id; } },
      picture({ address: shown, frame_hw: alert.frame_hw, boxes: alert.boxes }),
      h("span", { class: "alert-text" },
        h("span", { class: "alert-head" }, h("strong", {}, name), labels(alert)),
        h("span", { class: "alert-when muted" }, when(alert)),
        h("span", {}, strength(alert)))));
    if (focused) row.querySelector("a").focus();
    return row;
  }

  _nothing() {
    if (this.filter.empty) return [h("h2", {}, t("alerts.none")), h("p", {}, t("alerts.none.why"))];
    return [h("h2", {}, t("alerts.none_so")), h("p", {}, h("a", { href: listAddress(this.filter.of) }, t("alerts.show_all")))];
  }

  _exports(query) {
    fill(this.exports, t("alerts.export"), " ",
      h("a", { href: `api/v1/export/alerts.csv?${query}`, download: "" }, t("alerts.export.csv")), " · ",
      h("a", { href: `api/v1/export/dataset.zip?${query}`, download: "" }, t("alerts.export.dataset")));
  }
}
