// All versions of what a camera has learned: which serves, what each was made from, and the way back.

import { address, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { told } from "../../core/told.js";
import { score, t } from "../../core/words.js";
import { confirmed } from "../../parts/dialog.js";
import { problemWords } from "./problems.js";

const SHORT = 12;

/** Return the name of a version that people see: "Version 2", or "as delivered". */
function named(version) {
  return version.parent ? t("lineage.round", { count: version.number || version.round }) : t("lineage.root");
}

/** Return a button that puts a version in service, after a question. */
function useButton(version, state, kind = "") {
  const { versions } = state.versions;
  const isOlder = versions.indexOf(version) < versions.findIndex((one) => one.active);
  const word = isOlder ? "back" : "use";
  const press = async () => {
    const question = t(`lineage.${word}.ask`, { name: named(version) });
    if (!(await confirmed(question, { text: t("lineage.back.what"), yes: t(`lineage.${word}`) }))) return;
    await post(address("cameras", state.key, "rollback"), { to: version.parent ? version.id : "root" });
    showDone(t("lineage.back.done", { name: named(version) }));
    await state.load();
  };
  const to = t(`lineage.${word}.to`, { name: named(version) });
  return h("button", { type: "button", disabled: state.busy, onclick: whenPressed(press), "aria-label": to }, kind === "long" ? to : t(`lineage.${word}`));
}

/** Return a button that goes back from a version to the one that it was made from; null: there is none. */
export function backFrom(version, state) {
  const before = state.versions.versions.find((one) => one.id === version.parent);
  return before && mayChange() ? useButton(before, state, "long") : null;
}

/** The version that is in use, with the way back beside it. */
export class InUse {
  constructor() {
    this.node = h("div", { class: "row in-use", hidden: true });
  }

  write(state) {
    const version = state.versions.versions.find((one) => one.active);
    this.node.hidden = !version;
    const known = JSON.stringify([version?.id, version?.parent, state.busy]);
    if (!version || known === this._known) return;
    this._known = known;
    const at = version.at ? h("span", { class: "muted" }, t("lineage.at", { clock: clock(Date.parse(version.at)) })) : null;
    fill(this.node, h("p", { class: "grow" }, t("lineage.in_use"), " ", h("strong", {}, named(version)), " ", at), backFrom(version, state));
  }
}

/** Return who asked: the device writes `KEY for NAME`. */
function person(by) {
  const [key, name] = by.split(/ ?for (.*)/s);
  return name || key.slice(0, SHORT);
}

/** The part of the page with the versions. */
export class Versions {
  constructor(state) {
    this._state = state;
    this._notice = h("p", { class: "warn", hidden: true });
    this._list = h("ol", { class: "versions" });
  }

  elements() {
    return [this._notice, this._list];
  }

  write(state) {
    const { versions, notice } = state.versions;
    this._notice.hidden = !notice;
    fill(this._notice, told(notice));
    const known = JSON.stringify([versions.map((one) => [one.id, one.active, one.waits]), state.busy]);
    if (known === this._known) return;
    this._known = known;
    const names = new Map(versions.map((one) => [one.id, one]));
    fill(this._list, versions.toReversed().map((one) => this._item(one, names.get(one.parent), state)));
  }

  _item(version, parent, state) {
    const facts = [];
    if (parent) facts.push(t("lineage.parent", { name: named(parent), id: parent.id.slice(0, SHORT) }));
    if (version.at) facts.push(t("lineage.at", { clock: clock(Date.parse(version.at)) }));
    if (version.by) facts.push(t("lineage.by", { name: person(version.by) }));
    const numbers = [];
    if (version.pictures) numbers.push(t("lineage.pictures", { count: version.pictures }));
    if (version.added) numbers.push(t("lineage.added", { count: version.added }));
    if (version.threshold) numbers.push(t("lineage.threshold", { score: score(version.threshold) }));
    if (version.faults[0]) numbers.push(t("lineage.faults", { found: version.faults[2], before: version.faults[1] }));
    return h("li", { class: version.active ? "active" : "", "aria-current": version.active ? "true" : null },
      h("div", { class: "row" },
        h("strong", {}, named(version)),
        version.active ? h("span", { class: "label label-active" }, t("lineage.active")) : null,
        version.waits && !version.active ? h("span", { class: "label label-waits" }, t("lineage.waits")) : null),
      h("p", { class: "muted small" }, h("code", {}, version.id.slice(0, SHORT)), facts.map((fact) => ` · ${fact}`)),
      numbers.length ? h("p", { class: "small" }, numbers.join(" · ")) : null,
      version.problems.length ? h("ul", { class: "small warn" }, version.problems.map((one) => h("li", {}, problemWords(one)))) : null,
      !version.active && !version.waits && mayChange() ? h("p", { class: "use-it" }, useButton(version, state)) : null);
  }
}
