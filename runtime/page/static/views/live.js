// All cameras on one screen.

import { attempt } from "../core/api.js";
import { fill, h, icon, say } from "../core/dom.js";
import { legend, THRESHOLD_AT } from "../core/heat.js";
import * as live from "../core/live.js";
import { heatWeight, Picture, setHeatWeight } from "../core/picture.js";
import { alertLine, alertShort, Notes, ScoreBar, shownState } from "../core/status.js";
import { clock, eachSecond } from "../core/time.js";
import { t } from "../core/words.js";

const FOOT = 5; // height of the words of a tile, in em
const NARROW = 640; // pixels: a phone shows one camera below the other
const SOON_MS = 3000; // after a tile came into sight, a first picture may be on its way
const WAIT_MS = 1500; // for a first preview, before the last known picture is loaded

/** One camera: picture, score, state, open alert. */
class Tile {
  constructor(camera) {
    this.key = camera.key;
    this.asked = Date.now();
    this.picture = new Picture(camera);
    this.score = new ScoreBar();
    this.notes = new Notes();
    this.state = h("p", { class: "state" });
    this.alert = h("a", { class: "open-alert", hidden: true, href: "#/alerts" }, icon("alert"), this.alertWords = h("span", {}));
    const address = `#/camera/${encodeURIComponent(camera.key)}`;
    this.node = h("li", { class: "tile", data: { key: camera.key } },
      h("a", { class: "see", href: address, tabindex: -1, "aria-hidden": "true" }, this.picture.node),
      this.alert,
      h("div", { class: "words" }, h("h2", {}, this.name = h("a", { href: address })), this.score.node, this.state, this.notes.node));
    this.picture.loadRegions();
    this.waiting = setTimeout(() => this.picture.loadLast(), WAIT_MS);
    this.write(camera);
  }

  write(camera) {
    this.camera = camera;
    say(this.name, live.shortName(this.key));
    const fresh = this.picture.tick(camera);
    const current = camera.state === "live" && live.link.state === "open";
    this.score.write(current ? camera.score : null, camera.threshold);
    const soon = Date.now() - this.asked < SOON_MS;
    say(this.state, shownState(camera, fresh || soon));
    this.node.classList.toggle("off", !current);
    this.state.classList.toggle("warn", !current || !(fresh || soon));
    this.state.classList.toggle("plain", current && (fresh || soon));
    this.notes.write(camera);
    this.node.classList.toggle("alarmed", Boolean(camera.alert));
    this.alert.hidden = !camera.alert;
    if (camera.alert) {
      this.alert.setAttribute("href", `#/alerts/${encodeURIComponent(camera.alert.id)}`);
      say(this.alertWords, alertShort(camera.alert));
      this.alert.title = alertLine(camera.alert);
    }
  }

  end() {
    clearTimeout(this.waiting);
    this.picture.end();
  }
}

/** Return the number of columns with which tiles are largest, when all of them shall be seen at once. */
function columns(count, width, height, foot) {
  if (width < NARROW) return 1;
  let best = [1, 0];
  for (let n = 1; n <= count; n += 1) {
    const rows = Math.ceil(count / n);
    const size = Math.min(width / n, ((height / rows - foot) * 4) / 3);
    if (size > best[1]) best = [n, size];
  }
  return best[0];
}

/** Return the line above the tiles: how many, the weight of the heat map, its colours, full screen. */
function tools(summary) {
  const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: heatWeight(), oninput: (event) => setHeatWeight(event.target.value) });
  const scale = h("canvas", { class: "scale", role: "img", "aria-label": t("legend") });
  const mark = h("span", { class: "at", style: { left: `${100 * THRESHOLD_AT}%` } }, t("threshold"));
  const size = new ResizeObserver(() => legend(scale));
  size.observe(scale);
  const full = document.fullscreenEnabled && h("button", { type: "button", class: "full", onclick: () => attempt(toggleFull) }, t("full_screen"));
  const node = h("div", { class: "row tools" }, h("h1", { class: "unseen" }, t("title.live")), summary, h("label", {}, t("heat"), slider),
    h("div", { class: "heat-legend" }, scale, mark), full);
  return { node, end: () => size.disconnect() };
}

function toggleFull() {
  return document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
}

/** Show this view in an element. Return the function that ends it. */
export async function show(root) {
  const tiles = new Map();
  const seen = new Set();
  const summary = h("p", { class: "grow summary", role: "status" });
  const above = tools(summary);
  const grid = h("ul", { class: "tiles" });
  const empty = h("div", { class: "empty" }, t("waiting"));
  let said = "";
  fill(root, above.node, empty, grid);

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const { key } = entry.target.dataset;
      if (entry.isIntersecting) seen.add(key);
      else seen.delete(key);
      if (entry.isIntersecting && tiles.has(key)) tiles.get(key).asked = Date.now();
    }
    live.wantPreviews("live", [...seen]);
  }, { rootMargin: "50px" });

  const lay = () => {
    const em = Number.parseFloat(getComputedStyle(grid).fontSize);
    const room = window.innerHeight - grid.getBoundingClientRect().top - window.scrollY - 0.75 * em;
    const n = columns(tiles.size, grid.clientWidth, room, FOOT * em);
    const rows = Math.ceil(tiles.size / n);
    grid.style.setProperty("--columns", n);
    grid.style.setProperty("--tile", n === 1 && grid.clientWidth < NARROW ? "auto" : `${Math.max(11 * em, (room - (rows - 1) * 0.6 * em) / rows)}px`);
  };

  const drop = (key) => {
    const tile = tiles.get(key);
    watcher.unobserve(tile.node);
    seen.delete(key);
    tile.end();
    tile.node.remove();
    tiles.delete(key);
  };

  const write = () => {
    const all = [...live.cameras.values()];
    const off = all.filter((camera) => camera.state !== "live").length;
    const alarmed = all.filter((camera) => camera.alert).length;
    say(summary, [t("cameras", { count: all.length }), alarmed ? t("open_alerts", { count: alarmed }) : "", off ? t("not_live", { count: off }) : ""].filter(Boolean).join(" · "));
    for (const tile of tiles.values()) tile.write(live.cameras.get(tile.key) ?? tile.camera);
  };

  /** Where there is no camera: which device does not answer, or where cameras come from. */
  const nothing = () => {
    const away = [...live.devices.values()].filter((device) => !device.connected);
    const words = away.map((device) => t("no_reach", { name: device.name, time: clock(device.since_ms, { seconds: false }) }));
    const open = live.link.state === "open";
    const text = JSON.stringify([open, words]);
    empty.hidden = tiles.size > 0;
    if (text === said) return;
    said = text;
    fill(empty, !open ? t("waiting") : words.length ? [words.map((one) => h("p", { class: "warn" }, h("strong", {}, one))), h("p", {}, t("no_reach.do"))] : t("no_cameras"));
  };

  const all = () => {
    if (!live.cameras.size && live.link.state !== "open") return write();
    for (const key of [...tiles.keys()]) if (!live.cameras.has(key)) drop(key);
    live.ordered().forEach((camera, i) => {
      const known = tiles.get(camera.key);
      const tile = known ?? new Tile(camera);
      if (grid.children[i] !== tile.node) grid.insertBefore(tile.node, grid.children[i] ?? null);
      if (known) return;
      tiles.set(camera.key, tile);
      watcher.observe(tile.node);
    });
    nothing();
    lay();
    return write();
  };

  const off = [
    live.on("cameras", all),
    live.on("camera", (camera) => (tiles.has(camera.key) ? tiles.get(camera.key).write(camera) : all())),
    live.on("preview", (preview) => tiles.get(preview.camera)?.picture.take(preview)),
    live.on("device", nothing),
    live.on("link", write),
    eachSecond(write),
  ];
  window.addEventListener("resize", lay);
  all();
  return () => {
    for (const stop of off) stop();
    window.removeEventListener("resize", lay);
    watcher.disconnect();
    live.wantPreviews("live", []);
    above.end();
    for (const key of [...tiles.keys()]) drop(key);
  };
}
