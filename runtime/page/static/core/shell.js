// The header: places, person, language, colours; the banner of a broken connection; the tabs of a camera.

import { attempt, del, loadSession, session } from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import * as live from "./live.js";
import { duration } from "./time.js";
import { told } from "./told.js";
import { LANGUAGES, language, remember, remembered, t, useLanguage } from "./words.js";

const PLACES = ["live", "alerts", "devices"];
const OF_CAMERA = ["camera", "alerts", "teach", "tune"];
const OF_PLACE = { camera: "live", teach: "live", tune: "live" };
const THEMES = ["auto", "light", "dark"];

const bar = h("nav", { class: "bar" });
const banner = h("div", { class: "banner", hidden: true, role: "status" });
const notice = h("div", { class: "own-notice", hidden: true, role: "status" });

/** Write the header for the view that is shown. */
export function header(view) {
  bar.setAttribute("aria-label", t("places"));
  const here = OF_PLACE[view] ?? view;
  const places = view === "login" ? [] : [...PLACES, ...(session.fleet ? ["fleet"] : [])].map((place) =>
    h("a", { href: `#/${place}`, "aria-current": place === here ? "page" : null }, t(`title.${place}`), place === "alerts" ? badge() : null));
  fill(bar, h("a", { class: "brand", href: "#/live" }, "patchedge"), h("div", { class: "places" }, places),
    h("div", { class: "person" }, languages(), theme(), person()));
}

/** The number of alerts that are open now, beside the word. */
function badge() {
  const node = h("span", { class: "badge", id: "open-alerts", hidden: true });
  count(node);
  return node;
}

function count(node) {
  const open = [...live.cameras.values()].filter((camera) => camera.alert).length;
  node.hidden = !open;
  say(node, open ? String(open) : "");
  node.setAttribute("aria-label", t("open_alerts", { count: open }));
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = open ? `(${open}) ${title}` : title;
}

function languages() {
  const options = Object.entries(LANGUAGES).map(([name, words]) => h("option", { value: name, lang: name, selected: name === language() }, words));
  const choose = async (event) => {
    remember("language", event.target.value);
    await attempt(() => useLanguage(event.target.value));
    window.dispatchEvent(new CustomEvent("patchedge:words"));
  };
  return h("select", { "aria-label": t("language"), onchange: choose }, options);
}

function theme() {
  const now = remembered("theme") ?? "auto";
  const options = THEMES.map((name) => h("option", { value: name, selected: name === now }, t(`theme.${name}`)));
  const choose = (event) => {
    remember("theme", event.target.value);
    if (event.target.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = event.target.value;
    window.dispatchEvent(new CustomEvent("patchedge:theme"));
  };
  return h("select", { "aria-label": t("theme"), onchange: choose }, options);
}

function person() {
  if (!session.user) return null;
  return [h("span", { class: "who" }, t("who", { user: session.user, role: t(`role.${session.role}`) })),
    h("button", { type: "button", onclick: () => attempt(leave) }, t("log_out"))];
}

async function leave() {
  await del("session");
  session.user = ""; // it is not over by itself
  await loadSession();
  window.dispatchEvent(new CustomEvent("patchedge:login"));
}

/** Put the header into its place, with the banner that says that the page's own server cannot be heard. */
export function linkBanner(top, eachSecond) {
  fill(top, bar, banner, notice);
  const write = () => {
    const lost = live.link.state === "lost";
    banner.hidden = !lost;
    document.documentElement.classList.toggle("lost", lost);
    say(banner, lost ? `${t("link.lost", { duration: duration(Date.now() - live.link.since) })} ${live.link.reason}` : "");
  };
  live.on("link", write);
  const writeNotice = () => {
    notice.hidden = !live.own.notice;
    say(notice, told(live.own.notice));
  };
  live.on("notice", writeNotice);
  window.addEventListener("patchedge:words", writeNotice);
  eachSecond(write);
  const again = () => { const node = document.getElementById("open-alerts"); if (node) count(node); };
  for (const kind of ["camera", "cameras"]) live.on(kind, again);
}

const heading = { key: "", node: null, tabs: null };

function writeHeading() {
  if (!heading.node) return;
  const camera = live.shortName(heading.key); // it is known once all devices are
  say(heading.node, camera);
  heading.tabs.setAttribute("aria-label", t("of_camera", { camera }));
}

live.on("cameras", writeHeading);

/** Return the tabs of one camera: its picture, its alerts, teach, tune. */
export function cameraTabs(key, view) {
  const tabs = OF_CAMERA.map((name) => h("a", {
    href: name === "alerts" ? `#/alerts?of=${encodeURIComponent(key)}` : `#/${name}/${encodeURIComponent(key)}`,
    "aria-current": name === view ? "page" : null,
  }, t(`tab.${name}`)));
  Object.assign(heading, { key, node: h("h1", {}), tabs: h("nav", {}, tabs) });
  writeHeading();
  return h("div", { class: "tabs" }, h("a", { class: "up", href: "#/live", "aria-label": t("all_cameras") }, icon("back")), heading.node, heading.tabs);
}
