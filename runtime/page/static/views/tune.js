// Tune a camera (#/tune/K): when it alarms, tried over the last hours, and where it looks.

import { address, clearError, get, mayChange, put, showDone, showError, whenPressed } from "../core/api.js";
import { fill, h, say } from "../core/dom.js";
import { draftOf, keepDraft } from "../core/draft.js";
import { t } from "../core/words.js";
import { Changes } from "./tune/changes.js";
import { FIELDS, changed } from "./tune/fields.js";
import { Places } from "./tune/places.js";
import { Sliders } from "./tune/sliders.js";
import { Trial } from "./tune/trial.js";

const NAMES = ["threshold", ...FIELDS.map((field) => field.name)];
const ROOM = 1.2;
const AGAIN_MS = 5000;
const MIN_TOP = 2; // times the threshold of the bundle

/** Show this view in an element. Return the function that ends it. */
export async function show(root, parameters) {
  if (!parameters.key) {
    location.replace("#/live");
    return () => {};
  }
  const page = new Tune(parameters.key);
  fill(root, page.elements());
  await page.begin();
  return () => page.end();
}

class Tune {
  constructor(key) {
    this._key = key;
    this._kept = `tune.${key}`;
    this._unused = h("p", { class: "warn", hidden: true, role: "status" }, t("tune.unused"));
    this._trial = new Trial(key, (threshold) => this._move("threshold", Number(threshold.toPrecision(4))));
    this._sliders = new Sliders((name, value) => this._move(name, value));
    this._places = new Places(key, (areas) => this._apply(areas));
    this._changes = new Changes(key, () => this.load());
    const press = whenPressed(() => this._apply({ alerts: this._changed() }));
    const pressed = async (event) => { await press(event); this._enable(); };
    this._button = h("button", { type: "button", class: "main", disabled: true, onclick: pressed }, t("tune.apply"));
    this._back = h("button", { type: "button", disabled: true, onclick: () => this._reset() }, t("tune.reset"));
    this._where = h("p", { class: "muted small" }, "");
  }

  elements() {
    const section = (name, ...content) => h("section", { class: `panel tune-${name}`, "aria-labelledby": `tune-${name}` }, h("h2", { id: `tune-${name}` }, t(`tune.section.${name}`)), content);
    const apply = mayChange() ? [this._unused, h("div", { class: "row" }, this._button, this._back, this._changes.button), this._where] : h("p", { class: "muted" }, t("viewer"));
    return [h("div", { class: "tune-page" },
      section("alerts", h("div", { class: "tune-alerts-parts" },
        h("div", { class: "stack" }, this._trial.elements()),
        h("div", { class: "stack" }, this._sliders.elements(), apply))),
      section("places", h("div", { class: "stack" }, this._places.elements())),
      section("changes", h("div", { class: "stack" }, this._changes.elements())))];
  }

  /** Load all of it; where the device does not answer, say so once and ask again until it does. */
  async begin() {
    try {
      await this.load();
      clearError();
    } catch (error) {
      if (this._ended) return;
      if (this._said !== error.message) showError(error);
      this._said = error.message;
      this._again = setTimeout(() => this.begin(), AGAIN_MS);
    }
  }

  end() {
    this._ended = true;
    clearTimeout(this._again);
    this._trial.end();
    this._places.end();
  }

  async load() {
    this._settings = await get(address("cameras", this._key, "settings"));
    await this._trial.load();
    this._reset(draftOf(this._kept, this._base) ?? {});
    this._changes.write(this._settings.changes);
    say(this._where, t(this._settings.file ? "tune.where" : "tune.where_not"));
    await this._places.write(this._settings);
  }

  /** What a draft was begun on: somebody else may change it meanwhile. */
  get _base() {
    return JSON.stringify(this._settings.alerts);
  }

  /** Show the settings of the device, but for those that a person has begun to change. */
  _reset(begun = {}) {
    this._draft = { ...Object.fromEntries(NAMES.map((name) => [name, this._settings.alerts[name] ?? null])), ...begun };
    this._write();
  }

  _move(name, value) {
    if (!this._draft) return keepDraft(this._kept, { ...draftOf(this._kept), [name]: value }); // the settings are on their way
    this._draft[name] = value;
    return this._write();
  }

  _changed() {
    return changed(this._draft, this._settings.alerts);
  }

  _write() {
    const { threshold: inForce, bundle_threshold, alerts } = this._settings;
    const learned = (alerts.threshold ?? null) === null || !bundle_threshold ? inForce : bundle_threshold;
    const threshold = this._draft.threshold ?? learned;
    const top = Math.max(MIN_TOP * learned, ROOM * this._trial.highest, inForce);
    this._enable();
    this._sliders.write(this._draft, { learned, top });
    this._trial.show(threshold, this._changed());
  }

  _enable() {
    const some = this._changed();
    keepDraft(this._kept, some, this._base);
    this._unused.hidden = this._button.disabled = this._back.disabled = !Object.keys(some).length;
  }

  /** Write something to the settings of the device, and show what it has then. */
  async _apply(some) {
    this._settings = await put(address("cameras", this._key, "settings"), { ...some, keep: Boolean(this._settings.file) });
    showDone(t(this._settings.file ? "tune.applied" : "tune.applied_until"));
    this._changes.write(this._settings.changes);
    if (some.alerts) this._reset();
    else this._places.applied(this._settings);
  }
}
