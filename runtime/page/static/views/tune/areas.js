// Areas of a picture: polygons in camera pixels, and the changes that a person makes to them. No page is needed here.
//
// `regions` are judged, `ignore` is not. Corners are whole pixels [x, y] inside of the frame.

export const KINDS = ["regions", "ignore"];
export const MIN_CORNERS = 3;
export const MAX_CORNERS = 256;
export const MAX_AREAS = 64;

const MAX_UNDO = 200;

const clamp = (value, low, high) => Math.min(Math.max(Math.round(value), low), high);

/** Areas that can be changed, and the changes taken back. `size` is [width, height] of the frame. */
export class Areas {
  constructor(regions, ignore, size) {
    this.size = size;
    this._now = { regions: copy(regions), ignore: copy(ignore) };
    this._before = [];
    this._after = [];
  }

  get regions() {
    return this._now.regions;
  }

  get ignore() {
    return this._now.ignore;
  }

  get canUndo() {
    return this._before.length > 0;
  }

  get canRedo() {
    return this._after.length > 0;
  }

  /** Remember what is there now; call it before a change, once for a whole drag. */
  begin() {
    this._before.push({ regions: copy(this.regions), ignore: copy(this.ignore) });
    if (this._before.length > MAX_UNDO) this._before.shift();
    this._after = [];
  }

  undo() {
    this._swap(this._before, this._after);
  }

  redo() {
    this._swap(this._after, this._before);
  }

  /** Add a rectangle from corner to corner; without corners one in the middle. Return its number. */
  add(kind, from, to) {
    const [width, height] = this.size;
    const a = this.inside(from ?? [width * 0.35, height * 0.35]);
    const b = this.inside(to ?? [width * 0.65, height * 0.65]);
    const [left, right] = [Math.min(a[0], b[0]), Math.max(a[0], b[0])];
    const [top, bottom] = [Math.min(a[1], b[1]), Math.max(a[1], b[1])];
    this.begin();
    this._now[kind].push([
      [left, top],
      [right, top],
      [right, bottom],
      [left, bottom],
    ]);
    return this._now[kind].length - 1;
  }

  remove(kind, area) {
    this.begin();
    this._now[kind].splice(area, 1);
  }

  /** Add a corner in the middle of the edge that begins at `corner`. Return its number, or -1 if there are too many. */
  addCorner(kind, area, corner) {
    const corners = this._now[kind][area];
    if (corners.length >= MAX_CORNERS) return -1;
    this.begin();
    corners.splice(corner + 1, 0, middle(corners, corner));
    return corner + 1;
  }

  /** Remove a corner; return false if an area needs all that it has. */
  removeCorner(kind, area, corner) {
    const corners = this._now[kind][area];
    if (corners.length <= MIN_CORNERS) return false;
    this.begin();
    corners.splice(corner, 1);
    return true;
  }

  /** Put a corner somewhere. */
  place(kind, area, corner, at) {
    this._now[kind][area][corner] = this.inside(at);
  }

  /** Move a whole area by [dx, dy], as far as the frame allows. */
  shift(kind, area, by) {
    const corners = this._now[kind][area];
    const [dx, dy] = [0, 1].map((axis) => {
      const values = corners.map((corner) => corner[axis]);
      return clamp(by[axis], -Math.min(...values), this.size[axis] - Math.max(...values));
    });
    this._now[kind][area] = corners.map(([x, y]) => [x + dx, y + dy]);
    return [dx, dy];
  }

  /** Return the whole pixel of the frame that is nearest. */
  inside([x, y]) {
    return [clamp(x, 0, this.size[0]), clamp(y, 0, this.size[1])];
  }

  _swap(from, to) {
    const one = from.pop();
    if (!one) return;
    to.push(this._now);
    this._now = one;
  }
}

/** Return the middle of the edge that begins at `corner`. */
export function middle(corners, corner) {
  const [a, b] = [corners[corner], corners[(corner + 1) % corners.length]];
  return [Math.round((a[0] + b[0]) / 2), Math.round((a[1] + b[1]) / 2)];
}

/** Return the share of the frame that is not judged, 0 to 1, on a grid of points. */
export function ignoredShare(regions, ignore, [width, height], steps = 40) {
  let out = 0;
  for (let row = 0; row < steps; row++) {
    for (let column = 0; column < steps; column++) {
      const at = [((column + 0.5) * width) / steps, ((row + 0.5) * height) / steps];
      const judged = !regions.length || regions.some((area) => contains(area, at));
      if (!judged || ignore.some((area) => contains(area, at))) out++;
    }
  }
  return out / (steps * steps);
}

/** Return whether a point is inside of a polygon (even-odd rule). */
export function contains(corners, [x, y]) {
  let inside = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [corners[i], corners[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function copy(areas) {
  return (areas ?? []).map((corners) => corners.map(([x, y]) => [x, y]));
}
