// One camera: its picture, large; its score over time; what can be done.

import { attempt, get } from "../core/api.js";
import { Chart, SPANS } from "../core/chart.js";
import { fill, h, icon, say } from "../core/dom.js";
import * as live from "../core/live.js";
import { heatWeight, Picture, setHeatWeight } from "../core/picture.js";
import { alertLine, Notes, ScoreBar, shownState } from "../core/status.js";
import { eachSecond } from "../core/time.js";
import { remember, remembered, score, t, tOr } from "../core/words.js";

const SOON_MS = 3000; // a first picture may be on its way
const WAIT_MS = 1500; // for a first preview, before the last known picture is loaded

/** The open alert, with the way to it: it is judged where its picture is, not beside the live one. */
class OpenAlert {
  constructor() {
    this.node = h("section", { class: "panel", hidden: true, "aria-label": t("camera.open_alert") });
    this.words = h("span", {});
    this.shown = "";
  }

  write(alert) {
    this.node.hidden = !alert;
    this.node.classList.toggle("alarmed", Boolean(alert));
    if (!alert) return;
    say(this.words, alertLine(alert));
    const text = JSON.stringify([alert.id, alert.acknowledged, alert.false_alarm, alert.peak_ms]);
    if (text === this.shown) return;
    this.shown = text;
    const after = alert.false_alarm && alert.peak_ms > alert.false_alarm.at_ms ? "camera.false_before" : "camera.false_by";
    fill(this.node, h("p", { class: "alarm headline" }, icon("alert"), h("b", {}, this.words)),
      alert.acknowledged ? h("p", { class: "muted" }, t("camera.seen_by", { user: alert.acknowledged.by || t("somebody") })) : null,
      alert.false_alarm ? h("p", { class: after.endsWith("before") ? "warn" : "muted" }, t(after, { user: alert.false_alarm.by || t("somebody") })) : null,
      h("div", { class: "row" }, h("a", { class: "button main", href: `#/alerts/${encodeURIComponent(alert.id)}?of=${encodeURIComponent(alert.key)}` }, t("camera.look"))));
  }
}

/** Return the facts about a camera, and a function that writes them again. */
function facts() {
  const threshold = h("dd", {});
  const bundle = h("dd", { class: "code" });
  const device = h("dd", {});
  const list = h("dl", { class: "facts" }, h("dt", {}, t("threshold")), threshold, h("dt", {}, t("camera.bundle")), bundle, h("dt", {}, t("camera.device")), device);
  const write = (camera) => {
    say(threshold, camera.threshold > 0 ? score(camera.threshold) : "–");
    say(bundle, camera.bundle ? camera.bundle.slice(0, 12) : "–");
    if (!device.firstChild) device.append(h("a", { href: `#/devices/${encodeURIComponent(camera.device)}` }, camera.device));
  };
  return [list, write];
}

/** Show this view in an element. Return the function that ends it. */
export async function show(root, { key }) {
  let camera = live.cameras.get(key) ?? (await get(`cameras/${encodeURIComponent(key)}`));
  const name = camera.key;
  const opened = Date.now();
  const picture = new Picture(camera);
  const chart = new Chart(name);
  const bar = new ScoreBar();
  const state = h("p", { class: "state" });
  const advice = h("p", { class: "muted small", hidden: true });
  const notes = new Notes();
  const alert = new OpenAlert();
  const [list, writeFacts] = facts();
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: heatWeight(), oninput: (event) => setHeatWeight(event.target.value) });
  const side = h("div", { class: "stack side" }, alert.node,
    h("section", { class: "panel stack", "aria-label": t("camera.now") }, state, advice, bar.node, notes.node, list, h("label", {}, t("heat"), slider)),
    live.mayChangeOf(camera.device) ? h("div", { class: "row" }, h("a", { class: "button", href: `#/teach/${encodeURIComponent(name)}` }, t("camera.teach")),
      h("a", { class: "button", href: `#/tune/${encodeURIComponent(name)}` }, t("camera.tune"))) : null);
  fill(root, h("div", { class: "camera" }, h("div", { class: "large" }, picture.node), side), chart.node);

  const write = (now = camera) => {
    camera = now;
    const fresh = picture.tick(camera);
    const current = camera.state === "live" && live.link.state === "open";
    const soon = fresh || Date.now() - opened < SOON_MS;
    say(state, shownState(camera, soon));
    state.classList.toggle("warn", !current || !soon);
    const what = live.link.state === "lost" ? "" : tOr(`state.do.${camera.state}`, "");
    advice.hidden = !what;
    say(advice, what);
    bar.write(current ? camera.score : null, camera.threshold);
    notes.write(camera);
    writeFacts(camera);
    alert.write(camera.alert);
  };

  const off = [
    live.on("camera", (now) => { if (now.key === name) { write(now); chart.add(now); } }),
    live.on("cameras", (all) => write(all.get(name) ?? camera)),
    live.on("preview", (preview) => { if (preview.camera === name) picture.take(preview); }),
    live.on("link", () => write()),
    eachSecond(() => write()),
  ];
  live.wantPreviews("camera", [name]);
  picture.loadRegions();
  const waiting = setTimeout(() => picture.loadLast(), WAIT_MS);
  const word = remembered("span");
  const choose = chart.choose.bind(chart);
  chart.choose = (span) => { remember("span", span); return attempt(() => choose(span)); };
  chart.choose(word in SPANS ? word : "span.10min");
  return () => {
    for (const stop of off) stop();
    clearTimeout(waiting);
    live.wantPreviews("camera", []);
    picture.end();
    chart.end();
  };
}
