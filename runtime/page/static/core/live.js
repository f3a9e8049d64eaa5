// What happens now: one stream of events for the whole page, which reconnects by itself and says when it is broken.

import { get, loadSession, mayChange, session } from "./api.js";

const SILENT_MS = 10000; // a stream that is silent for so long is doubted
const HIDDEN_MS = 60000; // a hidden tab gives its connection back: a browser has six for one page in all its tabs
const MAX_WAIT_MS = 15000;
const GATHER_MS = 200; // changes of what is to be seen, before the stream is opened again for them
const RATE = 5;
const NOTICE_MS = 30000;

/** Last known cameras by key and devices by name. */
export const cameras = new Map();
export const devices = new Map();
/** State of the stream: "connecting", "open", "lost". */
export const link = { state: "connecting", since: Date.now() };

/** What is wrong with the page's own process, one sentence; empty: nothing. */
export const own = { notice: "" };

const offsets = new Map(); // device -> how far its clock is behind the one here, ms
const listeners = new Map();
const wanted = new Map();
let source = null;
let asked = null;
let tries = 0;
let retry = 0;
let heard = 0;
let gathering = 0;
let running = false;

/**
 * Call a function for each event of a kind, until the returned function is called. Kinds: camera, preview, alert,
 * device (as in the API), link (see `link`), cameras (the list was loaded again), notice (see `own`).
 */
export function on(kind, action) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(action);
  return () => listeners.get(kind).delete(action);
}

function tell(kind, value) {
  for (const action of [...(listeners.get(kind) ?? [])]) {
    try { action(value); } catch (error) { console.error(error); }
  }
}

/** Return how long ago something was by the clock of a device, which may be wrong: it is compared with the one here. */
export function agoMs(device, ms) {
  return Date.now() - ms - (offsets.get(device) ?? 0);
}

/** Ask for pictures of these cameras, for an owner; an empty list ends it. */
export function wantPreviews(owner, keys) {
  if (keys.length) wanted.set(owner, new Set(keys));
  else wanted.delete(owner);
  clearTimeout(gathering);
  gathering = setTimeout(reopen, GATHER_MS);
}

function previews() {
  if (document.hidden) return "";
  return [...new Set([...wanted.values()].flatMap((keys) => [...keys]))].sort().join(",");
}

function reopen() {
  if (running && source && previews() !== asked) open();
}

function become(state) {
  if (link.state === state) return;
  Object.assign(link, { state, since: Date.now(), reason: "" });
  tell("link", link);
}

function open() {
  close();
  asked = previews();
  const query = asked ? `?previews=${encodeURIComponent(asked)}&rate=${RATE}` : "";
  const stream = new EventSource(`api/v1/events${query}`);
  source = stream;
  heard = performance.now();
  stream.onopen = () => { if (stream === source) opened(); };
  stream.onerror = () => { if (stream === source) lost(); };
  for (const kind of ["camera", "preview", "alert", "device"]) {
    stream.addEventListener(kind, (event) => { if (stream === source) received(kind, JSON.parse(event.data)); });
  }
}

async function opened() {
  tries = 0;
  heard = performance.now();
  become("open");
  try { await loadAll(); } catch (error) { if (error.status !== 401) console.error(error); } // 401: somebody logged out meanwhile
}

function received(kind, value) {
  heard = performance.now();
  if (kind === "camera") {
    cameras.set(value.key, value);
    if (value.state === "live" && value.scored_ms) offsets.set(value.device, Date.now() - value.scored_ms);
  }
  if (kind === "device") devices.set(value.name, value);
  tell(kind, value);
}

/** Return whether the person here may change something of a device, and the page too. */
export function mayChangeOf(device) {
  return mayChange() && devices.get(device)?.role !== "view";
}

const collator = new Intl.Collator(undefined, { numeric: true });

/** Return all cameras, device by device, by name: each has its place, however they came. */
export function ordered() {
  return [...cameras.values()].sort((a, b) => collator.compare(a.device, b.device) || collator.compare(a.name, b.name));
}

/** Return the name of a camera that people see: "belt", or "press-3: belt" where there are several devices. */
export function shortName(key) {
  const [, device, name] = /^([^:]+):(.+)$/s.exec(cameras.get(key)?.key ?? key) ?? [];
  if (!name) return key;
  const all = new Set([device, ...devices.keys(), ...[...cameras.values()].map((one) => one.device)]);
  return all.size > 1 ? `${device}: ${name}` : name;
}

/** Load all cameras and devices. */
export async function loadAll() {
  const [some, others] = await Promise.all([get("cameras"), get("devices")]);
  cameras.clear();
  devices.clear();
  for (const camera of some.cameras) cameras.set(camera.key, camera);
  for (const device of others.devices) devices.set(device.name, device);
  noted(others);
  tell("cameras", cameras);
}

/** Take note of what the page's own process has to say of itself, such as that its disk is full. */
function noted({ notice = "" }) {
  if (own.notice === notice) return;
  own.notice = notice;
  tell("notice", notice);
}

setInterval(() => { if (running && !document.hidden && link.state === "open") get("devices").then(noted, () => {}); }, NOTICE_MS);

function close() {
  source?.close();
  source = null;
}

/** The stream broke: say so, and try again, after 1 s, 2 s, 4 s, up to 15 s. */
function lost() {
  close();
  become("lost");
  tries += 1;
  const wait = Math.min(MAX_WAIT_MS, 1000 * 2 ** (tries - 1)) * (0.75 + Math.random() / 2);
  clearTimeout(retry);
  retry = setTimeout(again, wait);
}

async function again() {
  if (!running || document.hidden) return;
  try {
    const before = session.user;
    await loadSession();
    if (session.login_needed && (!session.user || session.user !== before)) {
      window.dispatchEvent(new CustomEvent("patchedge:login"));
      return;
    }
    if (tries > 1) link.reason = await refusal();
    open();
  } catch {
    lost();
  }
}

/** The page answers, but gives no stream: return why, which a stream itself cannot say. */
async function refusal() {
  const stop = new AbortController();
  try {
    await get("events", { signal: stop.signal });
    return "";
  } catch (error) {
    return error.message;
  } finally {
    stop.abort();
  }
}

/** A cable that is pulled out breaks no stream: one that is silent is opened again, if the page answers at all. */
function watch() {
  if (!running || document.hidden || !source || performance.now() - heard < SILENT_MS) return;
  heard = performance.now();
  get("session", { patience: 4000 }).then(() => { if (running && source) open(); }, () => { if (running) lost(); });
}

let hiding = 0;

function shown() {
  clearTimeout(hiding);
  if (!running) return;
  if (document.hidden) {
    reopen();
    hiding = setTimeout(() => { close(); clearTimeout(retry); become("connecting"); }, HIDDEN_MS);
  } else if (source) {
    reopen();
  } else {
    again();
  }
}

document.addEventListener("visibilitychange", shown);
window.addEventListener("online", () => { if (running && !source) again(); });
setInterval(watch, 1000);

/** Begin to listen. */
export function start() {
  if (running) return;
  running = true;
  tries = 0;
  open();
}

/** Listen no more, such as after log-out. */
export function stop() {
  running = false;
  clearTimeout(retry);
  close();
  cameras.clear();
  devices.clear();
  become("connecting");
}
