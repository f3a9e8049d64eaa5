// Where a camera looks: areas that are judged and areas that are ignored, drawn on the live picture.

import { address, attempt, mayChange, whenPressed } from "../../core/api.js";
import { fill, h, say } from "../../core/dom.js";
import { draftOf, keepDraft } from "../../core/draft.js";
import { decode, draw, load } from "../../core/heat.js";
import { cameras, on, wantPreviews } from "../../core/live.js";
import { number, t } from "../../core/words.js";
import { AreaDrawing } from "./area_drawing.js";
import { Areas, KINDS, ignoredShare } from "./areas.js";

/** The drawing of areas; `apply({regions, ignore})` writes them to the device. */
export class Places {
  constructor(key, apply) {
    this._key = key;
    this._kept = `areas.${key}`;
    this._kind = "ignore";
    this._canvas = h("canvas", { class: "places-picture", role: "img", "aria-label": t("areas.picture") });
    this._frame = h("div", { class: "places-frame" }, this._canvas);
    this._said = h("p", { role: "status" });
    this._ofBundle = h("p", { class: "warn", hidden: true }, t("areas.of_bundle"));
    this._chosen = h("p", { class: "muted small" });
    this._adds = KINDS.map((kind) => h("button", { type: "button", disabled: true, onclick: () => this._add(kind) }, t(`areas.add.${kind}`)));
    this._undo = this._button("areas.undo", () => this._areas.undo());
    this._redo = this._button("areas.redo", () => this._areas.redo());
    this._corner = this._button("areas.add_corner", () => this._drawing.addCorner());
    this._remove = this._button("areas.remove", () => this._drawing.remove());
    const press = whenPressed(() => apply(this._different()));
    const pressed = async (event) => { await press(event); this._changed(); };
    this._apply = h("button", { type: "button", class: "main", disabled: true, onclick: pressed }, t("areas.apply"));
    this._back = h("button", { type: "button", disabled: true, onclick: () => this._reset() }, t("areas.reset"));
    this._off = on("preview", (preview) => { if (preview.camera === key) this._show(preview); });
  }

  elements() {
    const tools = mayChange() ? [
      h("div", { class: "row" }, this._adds),
      h("div", { class: "row" }, this._corner, this._remove, this._undo, this._redo),
    ] : null;
    return [
      h("p", { class: "muted" }, t("areas.what")), this._ofBundle, tools,
      this._frame, this._chosen, this._said,
      mayChange() ? h("div", { class: "row" }, this._apply, this._back) : h("p", { class: "muted" }, t("viewer")),
    ];
  }

  end() {
    this._off();
    this._ended = true;
    wantPreviews("tune", []);
    this._drawing?.end();
  }

  /** Show the areas of the settings, unless a person has drawn others meanwhile. */
  async write(settings) {
    const { regions, ignore } = settings;
    const frame_hw = settings.frame_hw ?? cameras.get(this._key)?.frame_hw;
    if (!frame_hw) {
      fill(this._frame, h("p", { class: "empty" }, t("areas.no_frame")));
      return;
    }
    const drawn = this._areas && Object.keys(this._different()).length > 0;
    this._settings = { ...settings, frame_hw };
    const begun = draftOf(this._kept, this._base) ?? {};
    if (!drawn) this._begin(begun.regions ?? regions, begun.ignore ?? ignore, frame_hw);
    this._changed();
    wantPreviews("tune", [this._key]); // an unknown camera would break the stream of events
    if (this._picture) return;
    const first = await load(address("cameras", this._key, "picture")).catch(() => null);
    if (!this._picture && !this._ended && first) this._draw(first);
  }

  /** What a drawing was begun on: somebody else may change it meanwhile. */
  get _base() {
    return JSON.stringify([this._settings.regions, this._settings.ignore]);
  }

  /** What is drawn now is what the device has. */
  applied(settings) {
    this._settings = { ...this._settings, ...settings, frame_hw: this._settings.frame_hw };
    this._changed();
  }

  _begin(regions, ignore, [height, width]) {
    this._drawing?.end();
    this._areas = new Areas(regions, ignore, [width, height]);
    const name = (kind, area) => t(`areas.name.${kind}`, { number: area + 1 });
    this._drawing = new AreaDrawing(this._areas, { changed: () => this._changed(), kind: () => this._kind, name, fixed: !mayChange() });
    this._frame.style.setProperty("aspect-ratio", `${width} / ${height}`);
    this._frame.style.setProperty("--frame-share", width / height);
    fill(this._frame, this._canvas, this._drawing.svg);
    for (const button of this._adds) button.disabled = false;
  }

  /** Return the kinds of areas that are not those of the settings. */
  _different() {
    const same = (kind) => JSON.stringify(this._areas[kind]) === JSON.stringify(this._settings[kind] ?? []);
    return Object.fromEntries(KINDS.filter((kind) => !same(kind)).map((kind) => [kind, this._areas[kind]]));
  }

  _reset() {
    this._begin(this._settings.regions, this._settings.ignore, this._settings.frame_hw);
    this._changed();
  }

  _add(kind) {
    this._kind = kind;
    this._drawing.select(kind, this._areas.add(kind), 0);
    this._changed();
  }

  _button(key, action) {
    return h("button", { type: "button", disabled: true, onclick: () => { action(); this._drawing.draw(); this._changed(); } }, t(key));
  }

  _changed() {
    const { regions, ignore } = this._areas;
    const chosen = this._drawing.selected;
    this._undo.disabled = !this._areas.canUndo;
    this._redo.disabled = !this._areas.canRedo;
    this._corner.disabled = this._remove.disabled = !chosen;
    const different = this._different();
    const differs = Object.keys(different).length > 0;
    keepDraft(this._kept, different, this._base);
    this._apply.disabled = this._back.disabled = !differs;
    const share = ignoredShare(regions, ignore, this._areas.size);
    this._ofBundle.hidden = this._settings.regions_of !== "bundle";
    say(this._said, share ? t(differs ? "areas.would_ignore" : "areas.ignores", { percent: number(100 * share, 0) }) : t("areas.all"));
    const at = chosen && chosen.corner !== null ? this._areas[chosen.kind][chosen.area]?.[chosen.corner] : null;
    say(this._chosen, at ? t("areas.at", { number: chosen.corner + 1, x: at[0], y: at[1] }) : t("areas.how"));
  }

  async _show(preview) {
    const picture = await attempt(() => decode(preview.jpeg));
    if (picture && !this._ended) this._draw(picture);
  }

  _draw(picture) {
    this._picture?.close?.();
    this._picture = picture;
    if (this._settings?.frame_hw) draw(this._canvas, { picture, frame_hw: this._settings.frame_hw });
  }
}
