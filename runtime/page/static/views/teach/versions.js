// All versions of what a camera has learned: which serves, what each was made from, and the way back.

import { address, mayChange, post, showDone, whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { score, t } from "../../core/words.js";
import { confirmed } from "../../parts/dialog.js";
import { problemWords } from "./problems.js";

const SHORT = 12;

/** Return the name of a version that people see: "Version 2", or "as delivered". */
function named(version) {
  return version.parent ? t("lineage.round", { count: version.round }) : t("lineage.root");
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
    fill(this._notice, notice);
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
        h("strong", {}, named(version)), h("code", { class: "muted" }, version.id.slice(0, SHORT)),
        version.active ? h("span", { class: "label label-active" }, t("lineage.active")) : null,
        version.waits && !version.active ? h("span", { class: "label label-waits" }, t("lineage.waits")) : null,
        h("span", { class: "grow" }),
        !version.active && !version.waits && mayChange() ? this._button(version, state) : null),
      facts.length ? h("p", { class: "muted small" }, facts.join(" · ")) : null,
      numbers.length ? h("p", { class: "small" }, numbers.join(" · ")) : null,
      version.problems.length ? h("ul", { class: "small warn" }, version.problems.map((one) => h("li", {}, problemWords(one)))) : null);
  }

  _button(version, state) {
    const { versions } = state.versions;
    const isOlder = versions.indexOf(version) < versions.findIndex((one) => one.active);
    const press = async () => {
      const question = t(isOlder ? "lineage.back.ask" : "lineage.use.ask", { name: named(version) });
      if (!(await confirmed(question, { text: t("lineage.back.what"), yes: t(isOlder ? "lineage.back" : "lineage.use") }))) return;
      await post(address("cameras", state.key, "rollback"), { to: version.parent ? version.id : "root" });
      showDone(t("lineage.back.done", { name: named(version) }));
      await state.load();
    };
    return h("button", { type: "button", disabled: state.busy, onclick: whenPressed(press), "aria-label": t(isOlder ? "lineage.back.to" : "lineage.use.to", { name: named(version) }) }, t(isOlder ? "lineage.back" : "lineage.use"));
  }
}
