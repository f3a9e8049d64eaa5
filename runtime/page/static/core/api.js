// The page's own API, and the one place where errors are shown.

import { fill, h, icon } from "./dom.js";
import { toldOrQuoted } from "./told.js";
import { remembered, t } from "./words.js";

const BASE = "api/v1/";
const PATIENCE_MS = 30000;
export const session = { user: "", role: "viewer", login_needed: true, csrf: "", page_version: "", fleet: false, known: false, over: false };

/** A request that failed, with the words of the page or of the device, in the language of the page. `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Return the address of something of the API, such as a picture: address("alerts", id, "picture"). */
export function address(...parts) {
  return BASE + parts.map((part) => encodeURIComponent(part)).join("/");
}

const NAMELESS = /(^|\/)(session|simulate|inspect|doctor)$/; // they change nothing of a device
let askName = null;

/** Ask for the name of the person with this function before each change, where there are no users. */
export function askNameBy(action) {
  askName = action;
}

async function ask(method, path, body, { signal, patience = PATIENCE_MS } = {}) {
  if (method !== "GET" && askName && !NAMELESS.test(path) && !(await askName())) throw new DOMException("no name", "AbortError");
  const headers = { Accept: "application/json" };
  if (method !== "GET") Object.assign(headers, { "X-CSRF-Token": session.csrf }, claimed());
  const raw = body instanceof Blob;
  if (body !== undefined && !raw) headers["Content-Type"] = "application/json";
  const content = raw ? body : JSON.stringify(body);
  const stop = AbortSignal.any ? AbortSignal.any([AbortSignal.timeout(patience), ...(signal ? [signal] : [])]) : signal;
  let reply;
  try {
    reply = await fetch(path.startsWith(BASE) ? path : BASE + path, { method, headers, body: content, signal: stop, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, t("error.no_answer"));
  }
  if (!reply.ok) throw new ApiError(reply.status, await words(reply, path));
  if (reply.status === 204) return null;
  return (reply.headers.get("Content-Type") ?? "").includes("json") ? reply.json() : reply;
}

/** Where there are no users, the name that was asked for once in this browser goes with each change. */
function claimed() {
  const name = session.user ? "" : remembered("name");
  return name ? { "X-Patchedge-Name": encodeURIComponent(name) } : {};
}

async function words(reply, path) {
  let said = "";
  try { said = (await reply.json()).error ?? ""; } catch { /* not from the page itself: a proxy's own error */ }
  if (reply.status === 401 && path !== "session") window.dispatchEvent(new CustomEvent("patchedge:login"));
  return toldOrQuoted(said) || t("error.status", { status: reply.status });
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, body = {}, options = {}) => ask("POST", path, body, options);
export const put = (path, body = {}, options = {}) => ask("PUT", path, body, options);
export const del = (path, options) => ask("DELETE", path, undefined, options);

/** Load who is logged in, and the token that changes need. */
export async function loadSession() {
  const before = session.user;
  Object.assign(session, await get("session"), { known: true });
  session.over = Boolean(before && !session.user) || (session.over && !session.user);
  return session;
}

/** Return whether the person here may change something. */
export function mayChange() {
  return session.role === "operator";
}

/** Show an error in plain words, until it is closed or another one comes. */
export function showError(error) {
  if (error?.name === "AbortError") return;
  console.error(error);
  const message = error instanceof ApiError ? error.message : t("error.unexpected", { message: error?.message ?? error });
  if (error instanceof ApiError && error.status === 401) return; // the log-in is shown
  notice("error", message);
}

/** Say that something was done, for some seconds. */
export function showDone(message) {
  notice("done", message);
}

/** Take an error away that was shown before: another view is shown now, or what failed works again. */
export function clearError() {
  document.querySelector("#notices .notice.error")?.remove();
}

let closing = 0;

function notice(kind, message) {
  const place = document.getElementById("notices");
  clearTimeout(closing);
  const close = () => place.replaceChildren();
  if (kind === "done") closing = setTimeout(close, 6000);
  fill(place, h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" },
    icon(kind === "error" ? "alert" : "check"), h("p", {}, message),
    h("button", { type: "button", class: "plain", "aria-label": t("close"), onclick: close }, icon("cross"))));
}

/** Run something that may fail, and show why if it does. Return its value, or undefined. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    showError(error);
    return undefined;
  }
}

/** Let nobody press these buttons or type into these fields while the action runs: what is typed then could be lost. Return its value. */
export async function locked(controls, action) {
  const lock = (on) => {
    for (const control of controls) control["readOnly" in control ? "readOnly" : "disabled"] = on;
  };
  lock(true);
  try {
    return await action();
  } finally {
    lock(false);
  }
}

/** Return a listener that disables its button while the action runs, and shows what fails. */
export function whenPressed(action) {
  return (event) => locked([event.currentTarget], () => attempt(() => action(event)));
}
