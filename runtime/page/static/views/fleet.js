// Look at the fleet: roll-outs with their stages, and what each device should run and runs. Nothing is changed here.

import { get } from "../core/api.js";
import { fill, h, say, scroller } from "../core/dom.js";
import { drifted, told } from "../core/told.js";
import { ago, clock } from "../core/time.js";
import { number, t, tOr } from "../core/words.js";

const EVERY_MS = 5000;
const HEAD = ["fleet.device", "fleet.report", "fleet.phase", "fleet.camera", "fleet.state", "fleet.wanted", "fleet.runs", "fleet.alerts", "fleet.frame", "fleet.notes"];
const BAD = new Set(["refused", "went back", "stopped"]);
const GOOD = new Set(["in place", "done"]);

function short(id) {
  return id ? id.slice(0, 12) : "–";
}

/** Return a phase of a device or a state of a roll-out, as a label. */
function label(kind, name) {
  const look = BAD.has(name) ? "open" : GOOD.has(name) ? "fine" : name === "idle" ? "plain" : "waits";
  return h("span", { class: `label label-${look}` }, tOr(`fleet.${kind}.${name.replaceAll(" ", "_")}`, name));
}

function warning(text) {
  return h("p", { class: "warn" }, text);
}

/** Return what else is to be known about a camera of a device, one paragraph each. */
function notesOf(device, camera, first) {
  const found = [];
  if (first && device.reason) found.push(warning(told(device.reason)));
  if (first && device.counter < device.counter_wanted) found.push(h("p", {}, t("fleet.behind", { counter: device.counter, wanted: device.counter_wanted })));
  if (!camera) return found;
  if (camera.round) {
    found.push(h("p", {}, t("fleet.learnt", { count: camera.learnt, rounds: camera.round, id: short(camera.active) })));
    if (camera.would_drop) found.push(warning(t("fleet.would_drop")));
  }
  if (camera.settings_changed.length) found.push(h("p", {}, t("fleet.changed", { names: camera.settings_changed.join(", ") })));
  if (camera.drift) found.push(warning(t("note.drift", { text: drifted(camera.drift) })));
  if (camera.bundle_problem) found.push(warning(camera.bundle_problem));
  return found;
}

function rowsOf(device) {
  return (device.cameras.length ? device.cameras : [null]).map((camera, i) => {
    const cells = [
      [ago(device.at_ms), device.on ? "" : " ", device.on ? null : h("span", { class: "label label-waits" }, t("fleet.off"))],
      label("phase", device.phase),
      camera?.camera ?? "–",
      camera ? tOr(`state.${camera.state}`, camera.state) : "–",
      camera ? [h("code", {}, short(camera.wanted)), camera.in_place ? null : h("p", { class: "warn" }, t("fleet.not_in_place"))] : "–",
      camera ? [h("code", {}, short(camera.root)), camera.round ? ` +${camera.round}` : null] : "–",
      camera ? number(camera.alerts_per_hour, 1) : "–",
      camera ? number(camera.frame_ms_p95, 1) : "–",
      notesOf(device, camera, i === 0),
    ];
    return h("tr", {}, h("th", { scope: "row" }, device.device, h("p", { class: "muted small" }, device.groups.join(", "))),
      cells.map((cell, k) => h("td", { data: { label: t(HEAD[k + 1]) } }, cell)));
  });
}

/** Return the stages of a roll-out: how many devices, and which of them is under way. */
function stagesOf(rollout) {
  return h("ol", { class: "stages" }, rollout.stages.map((stage, i) => {
    const now = rollout.state === "running" && i + 1 === rollout.stage;
    const begun = i < rollout.stage;
    return h("li", { class: begun ? "begun" : "muted", "aria-current": now ? "step" : null, title: stage.join(", ") },
      t("fleet.stage", { number: i + 1, count: stage.length }));
  }));
}

function rolloutOf(rollout) {
  const whom = rollout.group ? t("fleet.for_group", { group: rollout.group }) : t("fleet.for_devices", { count: rollout.stages.flat().length });
  const what = [rollout.root ? t("fleet.bundle", { id: short(rollout.root) }) : null, rollout.settings.length ? t("fleet.settings", { names: rollout.settings.join(", ") }) : null];
  const going = rollout.back.filter((name) => !rollout.came_back.includes(name));
  return h("li", { class: "panel stack" },
    h("div", { class: "row" }, h("h3", { class: "grow" }, rollout.id), label("rollout", rollout.state)),
    h("p", {}, [...what, whom, rollout.camera ? t("of_camera", { camera: rollout.camera }) : null].filter(Boolean).join(" · ")),
    stagesOf(rollout),
    h("p", {}, t("fleet.in_place", { done: rollout.in_place, told: rollout.told })),
    rollout.reason ? warning(told(rollout.reason)) : null,
    going.length ? h("p", {}, t("fleet.going_back", { names: going.join(", ") })) : null,
    rollout.came_back.length ? h("p", {}, t("fleet.back", { names: rollout.came_back.join(", ") })) : null,
    h("p", { class: "muted small" }, t("fleet.since", { by: rollout.by, time: clock(rollout.since_ms, { seconds: false }) })));
}

/** Return the fleet in one line: how many devices there are, are on, have what they should, and have failed. */
function summary(devices) {
  const on = devices.filter((one) => one.on).length;
  const placed = devices.filter((one) => one.cameras.length && one.cameras.every((camera) => camera.in_place)).length;
  const failed = devices.filter((one) => BAD.has(one.phase)).length;
  const all = t("fleet.summary", { count: devices.length, on, placed });
  return failed ? `${all} · ${t("fleet.failed", { count: failed })}` : all;
}

/** Show this view in an element. Return the function that ends it. */
export async function show(root) {
  const line = h("p", {});
  const wrong = h("p", { class: "warn", role: "status" });
  const rollouts = h("ul", { class: "rollouts" });
  const none = h("p", { class: "empty", hidden: true }, t("fleet.no_rollouts"));
  const body = h("tbody", {});
  const search = h("input", { type: "search", "aria-label": t("fleet.search"), placeholder: t("fleet.search") });
  const table = h("table", { class: "cards fleet" }, h("thead", {}, h("tr", {}, HEAD.map((word) => h("th", { scope: "col" }, t(word))))), body);
  root.classList.add("stack");
  fill(root, h("h1", {}, t("title.fleet")), line, wrong,
    h("section", { class: "stack" }, h("h2", {}, t("fleet.rollouts")), none, rollouts),
    h("section", { class: "panel stack" }, h("div", { class: "row" }, h("h2", { class: "grow" }, t("title.devices")), search), scroller(t("title.devices"), table)));
  const state = { devices: [], ended: false, timer: 0 };
  const writeDevices = () => {
    const wanted = search.value.trim().toLowerCase();
    const some = state.devices.filter((one) => [one.device, ...one.groups].some((name) => name.toLowerCase().includes(wanted)));
    fill(body, some.map(rowsOf));
  };
  const load = async () => {
    try {
      const fleet = await get("fleet");
      if (state.ended) return;
      state.devices = fleet.devices;
      say(wrong, "");
      say(line, summary(fleet.devices));
      none.hidden = fleet.rollouts.length > 0;
      fill(rollouts, fleet.rollouts.slice(0, 12).map(rolloutOf));
      writeDevices();
    } catch (error) {
      if (!state.ended) say(wrong, error.message);
    }
    if (!state.ended) state.timer = setTimeout(load, EVERY_MS);
  };
  search.addEventListener("input", writeDevices);
  await load();
  return () => {
    state.ended = true;
    clearTimeout(state.timer);
  };
}
