// The frame around the views: who is here, where one is (#/live, #/camera/K, ...), and what is wrong with the connection.

import { address, askNameBy, attempt, clearError, get, loadSession, session, showError } from "./core/api.js";
import { fill, h, say } from "./core/dom.js";
import * as live from "./core/live.js";
import { cameraTabs, header, linkBanner } from "./core/shell.js";
import { eachSecond } from "./core/time.js";
import { loadWords, t } from "./core/words.js";
import { personName } from "./parts/dialog.js";

const VIEWS = {
  live: [],
  camera: ["key"],
  alerts: ["id"],
  teach: ["key"],
  tune: ["key"],
  devices: ["device"],
  fleet: [],
  login: [],
};
const MODULES = { devices: "device" };

const main = document.getElementById("main");
const said = document.getElementById("said");
let end = null;
let turn = 0;

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Return the view that the address names, and its parameters: #/alerts/ID?camera=K. */
function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decoded);
  const view = Object.hasOwn(VIEWS, name) ? name : "live";
  const parameters = { query: new URLSearchParams(query) };
  VIEWS[view].forEach((field, i) => { parameters[field] = rest[i] ?? ""; });
  if (view === "alerts") parameters.key = parameters.query.get("of") ?? ""; // the alerts of one camera, within it
  return view === "camera" && !parameters.key ? { view: "live", parameters } : { view, parameters };
}

/** Return whether the page knows no camera of this key: its device may not have answered yet. */
async function isUnknown(key) {
  if (live.cameras.has(key)) return false;
  try {
    await get(address("cameras", key));
    return false;
  } catch (error) {
    if (error.status !== 404) throw error;
    return true;
  }
}

/** Say that there is no such camera, until it comes. Return the function that ends it. */
function unknown(root, key) {
  fill(root, h("div", { class: "empty" }, h("h2", {}, t("camera.unknown", { name: live.shortName(key) })), h("p", {}, t("camera.unknown.why")),
    h("p", {}, h("a", { class: "button", href: "#/live" }, t("all_cameras")))));
  const come = () => { if (live.cameras.has(key)) route(); };
  const off = [live.on("camera", come), live.on("cameras", come)];
  return () => { for (const stop of off) stop(); };
}

/** Show the view of the address; what was shown before is ended first. */
async function route() {
  const mine = ++turn;
  clearError();
  await attempt(async () => { await end?.(); });
  end = null;
  let { view, parameters } = parse(location.hash);
  if (session.login_needed && !session.user) view = "login";
  else if (view === "login") return location.replace("#/live");
  const module = await attempt(() => import(`./views/${MODULES[view] ?? view}.js`));
  if (mine !== turn || !module) return undefined;
  header(parameters.key ? "camera" : view);
  document.title = `${t(`title.${view}`)} · patchedge`;
  const root = h("div", { class: `view view-${view}` });
  fill(main, parameters.key ? cameraTabs(parameters.key, view) : null, root);
  window.scrollTo(0, 0);
  if (parameters.key && view !== "alerts" && (await attempt(() => isUnknown(parameters.key)))) {
    if (mine !== turn) return undefined;
    end = unknown(root, parameters.key);
    return undefined;
  }
  const ending = await attempt(() => module.show(root, parameters));
  if (mine === turn && turn > 1 && view !== "login") main.focus({ preventScroll: true });
  if (mine === turn) end = ending;
  else await attempt(async () => { await ending?.(); });
  return undefined;
}

/** Log-in is needed, or is over: the view of the address comes back after it. */
async function enter() {
  if (main.querySelector(".view-login")) return;
  if (session.login_needed) Object.assign(session, { over: session.over || Boolean(session.user), user: "" });
  live.stop();
  await route();
}

/** Say aloud that an alert began; the text goes away, so that the same one is said again the next time. */
function announce(alert) {
  if (alert.end_ms) return;
  say(said, t("said.alert", { camera: live.shortName(alert.key) }));
  setTimeout(() => say(said, ""), 5000);
}

function announceOnce() {
  const known = new Set();
  live.on("alert", (alert) => {
    if (known.has(alert.id)) return;
    known.add(alert.id);
    announce(alert);
  });
}

async function begin() {
  const { view } = parse(location.hash);
  const asked = loadSession().then(() => null, (error) => error);
  import(`./views/${MODULES[view] ?? view}.js`).catch(() => {}); // it is there by the time it is needed
  await loadWords();
  header(view);
  const wrong = await asked;
  if (!session.known) Object.assign(session, { login_needed: false });
  fill(document.getElementById("skip"), t("skip"));
  window.addEventListener("hashchange", route);
  window.addEventListener("patchedge:login", enter);
  window.addEventListener("patchedge:entered", () => { live.start(); route(); });
  window.addEventListener("patchedge:words", () => { fill(document.getElementById("skip"), t("skip")); route(); });
  document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  askNameBy(personName);
  announceOnce();
  linkBanner(document.getElementById("top"), eachSecond);
  if (session.user || !session.login_needed) live.start();
  await route();
  if (wrong) showError(wrong);
}

begin();
