// Areas drawn over a picture: corners are dragged with mouse or finger, or moved with the arrow keys.
//
// Everything is SVG in camera pixels, so that a corner has the focus like any button.

import { svg as s } from "../../core/dom.js";
import { t } from "../../core/words.js";
import { middle } from "./areas.js";

const STEP = 1;
const LARGE_STEP = 10;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MIN_DRAG = 4;

const points = (corners) => corners.map((corner) => corner.join(",")).join(" ");

/**
 * Draw `areas` over a picture. `changed()` is called after each change, `kind()` says what a new area is, `name(kind,
 * area)` what people call it; `fixed` areas are only shown.
 */
export class AreaDrawing {
  constructor(areas, { changed, kind, name, fixed = false }) {
    this.areas = areas;
    this._changed = changed;
    this._kind = kind;
    this._name = name;
    this._fixed = fixed;
    this.selected = null; // {kind, area, corner}
    const [width, height] = areas.size;
    this.svg = s("svg", {
      class: "area-drawing",
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-label": t("areas.drawing"),
      onpointerdown: (event) => this._draw(event),
    });
    this._sized = new ResizeObserver(() => this.draw());
    this._sized.observe(this.svg);
    this.draw();
  }

  end() {
    this._sized.disconnect();
  }

  /** Select a corner, or a whole area, and give it the focus. */
  select(kind, area, corner = null) {
    this.selected = { kind, area, corner };
    this.draw();
    this._focus();
  }

  /** Draw everything again; what had the focus keeps it. */
  draw() {
    const focused = this.svg.contains(document.activeElement);
    const chosen = this.selected;
    if (chosen && !this.areas[chosen.kind][chosen.area]) this.selected = null;
    this.svg.replaceChildren(...this._shade(), ...this._all());
    if (focused) this._focus();
  }

  /** Return camera pixels for one pixel of the screen. */
  get scale() {
    return this.areas.size[0] / (this.svg.getBoundingClientRect().width || this.areas.size[0]);
  }

  _focus() {
    const chosen = this.selected;
    if (!chosen) return;
    const name = `${chosen.kind}-${chosen.area}-${chosen.corner ?? "all"}`;
    this.svg.querySelector(`[data-name="${name}"]`)?.focus();
  }

  /** Darken what is not judged. */
  _shade() {
    const [width, height] = this.areas.size;
    const whole = { x: 0, y: 0, width, height };
    const polygon = (corners, fill) => s("polygon", { points: points(corners), fill });
    const mask = s(
      "mask",
      { id: "not-judged", maskUnits: "userSpaceOnUse", ...whole },
      s("rect", { ...whole, fill: this.areas.regions.length ? "white" : "black" }),
      ...this.areas.regions.map((corners) => polygon(corners, "black")),
      ...this.areas.ignore.map((corners) => polygon(corners, "white")),
    );
    return [mask, s("rect", { ...whole, class: "area-shade", mask: "url(#not-judged)" })];
  }

  _all() {
    const found = [];
    for (const kind of ["regions", "ignore"]) {
      this.areas[kind].forEach((corners, area) => found.push(this._area(kind, area, corners)));
    }
    return found;
  }

  _area(kind, area, corners) {
    if (this._fixed) return s("polygon", { points: points(corners), class: `area area-${kind}` });
    const chosen = this.selected?.kind === kind && this.selected.area === area;
    const shape = s("polygon", {
      points: points(corners),
      class: `area area-${kind}`,
      tabindex: 0,
      role: "button",
      "aria-pressed": String(chosen),
      "aria-label": t("areas.area", { name: this._name(kind, area), corners: corners.length }),
      "data-name": `${kind}-${area}-all`,
      onpointerdown: (event) => this._drag(event, kind, area, null),
      onfocus: () => this._choose(kind, area, null),
      onkeydown: (event) => this._key(event, kind, area, null),
    });
    const group = s("g", { class: chosen ? "area-chosen" : "" }, shape);
    if (chosen) group.append(...corners.map((_at, corner) => this._edge(kind, area, corner)));
    group.append(...corners.map((at, corner) => this._corner(kind, area, corner, at)));
    return group;
  }

  _corner(kind, area, corner, [x, y]) {
    const attributes = {
      class: "area-corner",
      tabindex: 0,
      role: "button",
      "aria-label": t("areas.corner", { name: this._name(kind, area), number: corner + 1, x, y }),
      "data-name": `${kind}-${area}-${corner}`,
      onpointerdown: (event) => this._drag(event, kind, area, corner),
      onfocus: () => this._choose(kind, area, corner),
      onkeydown: (event) => this._key(event, kind, area, corner),
    };
    const target = s("circle", { cx: x, cy: y, r: 16 * this.scale, class: "area-target" });
    return s("g", attributes, target, s("circle", { cx: x, cy: y, r: 7 * this.scale, class: "area-dot" }));
  }

  /** A small dot in the middle of an edge: pressing it makes a corner of it. */
  _edge(kind, area, corner) {
    const [x, y] = middle(this.areas[kind][area], corner);
    const press = (event) => {
      const added = this.areas.addCorner(kind, area, corner);
      if (added < 0) return;
      this.selected = { kind, area, corner: added };
      this.draw();
      this._drag(event, kind, area, added, { begun: true });
    };
    const dot = s("circle", { cx: x, cy: y, r: 4.5 * this.scale, class: "area-edge-dot" });
    const target = s("circle", { cx: x, cy: y, r: 13 * this.scale, class: "area-target" });
    return s("g", { class: "area-edge", "aria-hidden": "true", onpointerdown: press }, target, dot);
  }

  _choose(kind, area, corner) {
    const chosen = this.selected;
    if (chosen && chosen.kind === kind && chosen.area === area && chosen.corner === corner) return;
    const other = !chosen || chosen.kind !== kind || chosen.area !== area;
    this.selected = { kind, area, corner };
    if (other && !this._pressed) this.draw();
    this._changed();
  }

  _at(event) {
    const box = this.svg.getBoundingClientRect();
    const [width, height] = this.areas.size;
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  /** Move a corner, or a whole area, with the pointer until it is released. */
  _drag(event, kind, area, corner, { begun = false } = {}) {
    if (event.button) return;
    event.preventDefault();
    event.stopPropagation();
    this.select(kind, area, corner);
    let last = this._at(event);
    let moved = begun;
    this._follow(event, (move) => {
      const at = this._at(move);
      const far = Math.hypot(at[0] - last[0], at[1] - last[1]);
      if (!moved && far < MIN_DRAG * this.scale) return;
      if (!moved) this.areas.begin();
      moved = true;
      if (corner === null) {
        const [dx, dy] = this.areas.shift(kind, area, [at[0] - last[0], at[1] - last[1]]);
        last = [last[0] + dx, last[1] + dy];
      } else {
        this.areas.place(kind, area, corner, at);
      }
      this.draw();
    });
  }

  /** Draw a new rectangle over an empty place of the picture. */
  _draw(event) {
    if (event.button || this._fixed) return;
    event.preventDefault();
    const from = this._at(event);
    const kind = this._kind();
    let area = -1;
    this._follow(event, (move) => {
      const to = this._at(move);
      const [dx, dy] = [Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
      if (area < 0 && Math.min(dx, dy) < 2 * MIN_DRAG * this.scale) return;
      if (area < 0) {
        area = this.areas.add(kind, from, to);
        this.selected = { kind, area, corner: 2 };
      } else {
        this.areas[kind][area] = rectangle(this.areas.inside(from), this.areas.inside(to));
      }
      this.draw();
    });
  }

  _follow(event, move) {
    this._pressed = true;
    const ended = new AbortController();
    const only = (what) => (other) => other.pointerId === event.pointerId && what(other);
    const end = only(() => {
      ended.abort();
      this._pressed = false;
      this.draw();
      this._changed();
    });
    window.addEventListener("pointermove", only(move), { signal: ended.signal });
    window.addEventListener("pointerup", end, { signal: ended.signal });
    window.addEventListener("pointercancel", end, { signal: ended.signal });
  }

  _key(event, kind, area, corner) {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? LARGE_STEP : STEP;
      const by = arrow.map((value) => value * step);
      this.areas.begin();
      if (corner === null) this.areas.shift(kind, area, by);
      else this.areas.place(kind, area, corner, this.areas[kind][area][corner].map((value, axis) => value + by[axis]));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.remove();
    } else if (event.key === "Insert" || event.key === "+") {
      this.addCorner();
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
    this._changed();
  }

  /** Remove what is selected: a corner, or a whole area where it has no corner to spare. */
  remove() {
    const { kind, area, corner } = this.selected ?? {};
    if (kind === undefined) return;
    if (corner === null || !this.areas.removeCorner(kind, area, corner)) {
      this.areas.remove(kind, area);
      this.selected = null;
    } else {
      this.selected = { kind, area, corner: Math.max(0, corner - 1) };
    }
    this.draw();
    this._changed();
  }

  /** Add a corner after the selected one. */
  addCorner() {
    if (!this.selected) return;
    const { kind, area, corner } = this.selected;
    const added = this.areas.addCorner(kind, area, corner ?? 0);
    if (added >= 0) this.select(kind, area, added);
    this._changed();
  }
}

function rectangle([x0, y0], [x1, y1]) {
  return [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ];
}
