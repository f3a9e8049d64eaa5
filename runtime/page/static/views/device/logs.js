// The log of a device since it started, as it grows; and who changed what.

import { get } from "../../core/api.js";
import { fill, h, say, scroller } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { t, tOr } from "../../core/words.js";

const EVERY_MS = 3000;
const MAX_LINES = 1000;
const LEVELS = ["all", "warning", "error"];
const RANK = { debug: 0, info: 1, warning: 2, error: 3, critical: 4 };
const WANTED = { all: 0, warning: 2, error: 3 };
const EVERY_REQUEST = new Set(["request", "schema", "id", "user"]);
const LEFT_OUT = new Set(["event", "level", "timestamp"]);

/** Return the fields of a request as words, without those that every request has. */
function fieldsOf(text) {
  let fields;
  try { fields = JSON.parse(text); } catch { return text; } // it was cut off
  return pairs(fields, EVERY_REQUEST);
}

function pairs(fields, leftOut) {
  const rest = Object.entries(fields).filter(([name]) => !leftOut.has(name));
  return rest.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join("  ");
}

/** Return a line of the log as words: what happened, then its other fields. */
function words(text) {
  let fields;
  try { fields = JSON.parse(text); } catch { return text; }
  if (!fields || typeof fields !== "object" || typeof fields.event !== "string") return text;
  return `${fields.event}  ${pairs(fields, LEFT_OUT)}`;
}

/** Return a section with the log of a device, and the function that ends it. */
export function logs(device) {
  const list = h("ol", { class: "log", tabindex: 0, "aria-label": t("device.logs") });
  const state = h("p", { class: "muted small", role: "status" });
  const level = h("select", { id: "log-level", onchange: () => list.setAttribute("data-level", level.value) }, LEVELS.map((name) => h("option", { value: name }, t(`log.${name}`))));
  const node = h("section", { class: "panel stack" }, h("div", { class: "row" }, h("h2", { class: "grow" }, t("device.logs")), h("label", { for: "log-level" }, t("log.show")), level), list, state);
  const stop = new AbortController();
  let after = 0;
  let epoch = "";
  const add = (lines) => {
    const end = list.scrollHeight - list.scrollTop - list.clientHeight < 40; // someone who reads further up is left there
    list.append(...lines.map((line) => h("li", { class: `level-${RANK[line.level] ?? 1}` }, h("time", {}, clock(line.at_ms)), h("b", {}, line.level), h("span", {}, words(line.text)))));
    while (list.childElementCount > MAX_LINES) list.firstElementChild.remove();
    if (end) list.scrollTop = list.scrollHeight;
  };
  const ask = async () => {
    let reply;
    do {
      reply = await get(`devices/${encodeURIComponent(device)}/logs?after=${after}`, { signal: stop.signal });
      if (epoch && reply.epoch !== epoch && after) {
        [after, epoch] = [0, reply.epoch];
        add([{ at_ms: Date.now(), level: "info", text: t("log.restarted") }]);
        return;
      }
      epoch = reply.epoch;
      after = reply.next;
      add(reply.lines);
    } while (reply.more);
    say(state, reply.missed ? t("log.missed", { count: reply.missed }) : list.childElementCount ? "" : t("log.empty"));
  };
  const timer = every(ask, EVERY_MS, stop.signal, (error) => say(state, error.message));
  return [node, () => { clearInterval(timer); stop.abort(); }];
}

/** Call a function now and then, one call at a time, while the page is seen. Return the timer. */
function every(action, ms, signal, failed) {
  let busy = false;
  const once = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try { await action(); } catch (error) { if (!signal.aborted) failed(error); }
    busy = false;
  };
  once();
  return setInterval(once, ms);
}

/** Return a section with who changed what on a device, and the function that ends it. */
export function orders(device) {
  const rows = h("tbody", {});
  const state = h("p", { class: "muted small" });
  const head = ["orders.time", "orders.who", "orders.what", "orders.with"];
  const node = h("section", { class: "panel stack" }, h("h2", {}, t("device.orders")),
    scroller(t("device.orders"), h("table", { class: "cards" }, h("thead", {}, h("tr", {}, head.map((word) => h("th", { scope: "col" }, t(word))))), rows)), state);
  const stop = new AbortController();
  let shown = "";
  const ask = async () => {
    const reply = await get(`devices/${encodeURIComponent(device)}/orders`, { signal: stop.signal });
    const text = JSON.stringify(reply.orders);
    if (text === shown) return;
    shown = text;
    const known = (key) => (key ? t("orders.key", { key: key.slice(0, 8) }) : t("orders.no_key"));
    fill(rows, reply.orders.map((one) => h("tr", {}, h("td", {}, clock(one.at_ms)), h("td", {}, one.user ? [one.user, " ", h("span", { class: "muted" }, known(one.key))] : known(one.key)),
      h("td", {}, h("b", {}, tOr(`orders.request.${one.request}`, one.request))), h("td", { class: "code" }, fieldsOf(one.fields)))));
    say(state, reply.orders.length ? "" : t("orders.none"));
  };
  const timer = every(ask, 2 * EVERY_MS, stop.signal, (error) => say(state, error.message));
  return [node, () => { clearInterval(timer); stop.abort(); }];
}
