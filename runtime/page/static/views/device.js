// Look after a device: what it is, what its cameras serve, how it fares, what it says, who changed what.

import { address, session } from "../core/api.js";
import { fill, h, icon, say } from "../core/dom.js";
import * as live from "../core/live.js";
import { clock, eachSecond } from "../core/time.js";
import { toldOrQuoted } from "../core/told.js";
import { t } from "../core/words.js";
import { charts } from "./device/charts.js";
import { doctor } from "./device/doctor.js";
import { logs, orders } from "./device/logs.js";
import { versions } from "./device/versions.js";

/** Return what this page is, for those who write programs or ask for help. */
function about() {
  return h("p", { class: "muted small" }, t("device.page", { version: session.page_version }), " · ", h("a", { href: address("openapi.json") }, t("device.api")));
}

/** Return the state of a device in words: "Connected since 11:02". */
function stateOf(device) {
  const since = clock(device.since_ms, { seconds: false });
  return device.connected ? t("device.connected", { time: since }) : t("device.away", { time: since });
}

function list(root) {
  const place = h("ul", { class: "devices" });
  const empty = h("p", { class: "empty" }, t("device.none"));
  fill(root, h("h1", {}, t("title.devices")), empty, place);
  const write = () => {
    empty.hidden = live.devices.size > 0;
    fill(place, [...live.devices.values()].map((device) => h("li", { class: "panel" },
      h("h2", {}, h("a", { href: `#/devices/${encodeURIComponent(device.name)}` }, device.name)),
      h("p", { class: device.connected ? "muted" : "warn" }, stateOf(device)),
      device.error ? h("p", { class: "warn" }, toldOrQuoted(device.error)) : null,
      h("p", { class: "muted" }, t("cameras", { count: device.cameras.length })))));
  };
  write();
  const off = [live.on("cameras", write), live.on("device", write)];
  return () => { for (const stop of off) stop(); };
}

function one(root, name) {
  const state = h("p", {});
  const error = h("p", { class: "warn" });
  const facts = h("p", { class: "muted" });
  const write = () => {
    const device = live.devices.get(name);
    const lost = live.link.state === "lost";
    say(state, device ? stateOf(device) : t("device.unknown", { name }));
    state.className = device?.connected && !lost ? "" : "warn";
    say(error, toldOrQuoted(device?.error ?? ""));
    say(facts, device ? [device.version ? t("device.version", { version: device.version }) : "", device.role ? t(`device.role.${device.role}`) : ""].filter(Boolean).join(" · ") : "");
  };
  const parts = [versions(name), charts(name), doctor(name), orders(name), logs(name)];
  const archive = h("a", { class: "button", href: address("devices", name, "support.zip"), download: "" }, icon("down"), t("device.archive"));
  const [cameras, metrics, found, who, said] = parts.map(([node]) => node);
  fill(root, h("div", { class: "row" }, h("div", { class: "grow" }, live.devices.size > 1 ? h("a", { href: "#/devices" }, t("title.devices")) : null, h("h1", {}, name), state, error, facts), archive),
    cameras, metrics, h("div", { class: "two" }, found, who), said, about());
  root.classList.add("stack");
  const off = [live.on("cameras", write), live.on("device", write), live.on("link", write), eachSecond(write)];
  return () => {
    for (const stop of off) stop();
    for (const [, end] of parts) end();
  };
}

/** Show this view in an element. Return the function that ends it. */
export async function show(root, { device }) {
  if (!live.devices.size) await live.loadAll();
  if (live.devices.has(device)) return one(root, device);
  if (device) {
    fill(root, h("h1", {}, device), h("p", { class: "warn" }, t("device.unknown", { name: device })), h("p", {}, h("a", { href: "#/devices" }, t("title.devices"))));
    return () => {};
  }
  if (live.devices.size !== 1) return list(root);
  return one(root, [...live.devices.keys()][0]);
}
