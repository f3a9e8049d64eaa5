// What each camera of a device serves, and what it came from.

import { get } from "../../core/api.js";
import { fill, h, say, scroller } from "../../core/dom.js";
import * as live from "../../core/live.js";
import { stateLine } from "../../core/status.js";
import { clock } from "../../core/time.js";
import { told } from "../../core/told.js";
import { score, t } from "../../core/words.js";

const HEAD = ["versions.camera", "versions.state", "versions.serves", "versions.learnt", "versions.pictures", "threshold", "versions.kept"];

/** Return the words for a version: "of the settings", or "round 2, 3f9a12". */
function named(version) {
  return version.round ? t("versions.round", { round: version.number || version.round, id: version.id.slice(0, 6) }) : t("versions.root", { id: version.id.slice(0, 6) });
}

class Row {
  constructor(key) {
    this.key = key;
    this.state = h("td", {});
    this.rest = HEAD.slice(2).map((word) => h("td", { data: { label: t(word) } }));
    this.name = h("a", { href: `#/camera/${encodeURIComponent(key)}` });
    this.node = h("tr", {}, h("th", { scope: "row" }, this.name), this.state, this.rest);
  }

  write(camera) {
    say(this.name, live.shortName(this.key));
    say(this.state, stateLine(camera));
    this.state.className = camera.state === "live" ? "" : "warn";
    say(this.rest[3], camera.threshold > 0 ? score(camera.threshold) : "–");
    const before = this.bundle;
    this.bundle = camera.bundle;
    const wasAway = this.away;
    this.away = camera.state === "unreachable"; // the state says so
    if (before !== camera.bundle || (wasAway && !this.away)) this.load();
  }

  async load() {
    const [serves, learnt, pictures, , kept] = this.rest;
    try {
      const { versions, notice } = await get(`cameras/${encodeURIComponent(this.key)}/versions`);
      const active = versions.find((one) => one.active) ?? versions[0];
      if (!active) return;
      fill(serves, named(active), notice ? h("p", { class: "warn" }, told(notice)) : null);
      say(learnt, active.at ? clock(Date.parse(active.at), { seconds: false }) : "–");
      say(pictures, active.pictures ? String(active.pictures) : "–");
      fill(kept, h("a", { href: `#/teach/${encodeURIComponent(this.key)}` }, t("versions.count", { count: versions.length })));
    } catch (error) {
      fill(serves, this.away ? "–" : h("span", { class: "muted" }, error.message));
    }
  }
}

/** Return a section with the cameras of a device, and the function that ends it. */
export function versions(device) {
  const rows = new Map();
  const body = h("tbody", {});
  const node = h("section", { class: "panel stack" }, h("h2", {}, t("device.cameras")),
    scroller(t("device.cameras"), h("table", { class: "cards" }, h("thead", {}, h("tr", {}, HEAD.map((word) => h("th", { scope: "col" }, t(word))))), body)));
  const write = (camera) => {
    if (camera.device !== device) return;
    if (!rows.has(camera.key)) {
      rows.set(camera.key, new Row(camera.key));
      body.append(rows.get(camera.key).node);
    }
    rows.get(camera.key).write(camera);
  };
  const all = () => { for (const camera of live.ordered()) write(camera); };
  all();
  const off = [live.on("camera", write), live.on("cameras", all)];
  return [node, () => { for (const stop of off) stop(); }];
}
