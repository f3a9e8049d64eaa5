// Draws what a camera sees: picture, heat map, boxes, regions. One fixed scale of colours, from the threshold.

/** Heat values are percent of the threshold; below this one nothing is drawn, so that a normal frame looks calm. */
const CALM = 60;
const THRESHOLD = 100;
const MAX = 255;
const FINE = 4; // heat maps are smoothed to this many times their grid before colours are chosen

// Up to the threshold a faint blue; from it on yellow, orange, red, dark red (ColorBrewer YlOrRd). They differ in
// lightness and between blue and yellow, so those who cannot tell red from green can read them.
const BELOW = [[60, 96, 165, 220, 0], [99, 96, 165, 220, 0.45]];
const ABOVE = [[100, 255, 237, 110, 0.85], [130, 254, 178, 60, 0.9], [165, 252, 110, 40, 0.95], [210, 215, 20, 30, 1], [255, 120, 0, 38, 1]];
const COLOURS = colours();

function colours() {
  const table = new Uint8ClampedArray(4 * (MAX + 1));
  for (const stops of [BELOW, ABOVE]) {
    for (let i = 0; i + 1 < stops.length; i += 1) {
      const [from, to] = [stops[i], stops[i + 1]];
      for (let value = from[0]; value <= to[0]; value += 1) {
        const part = (value - from[0]) / (to[0] - from[0]);
        const mixed = from.map((number, k) => number + part * (to[k] - number)).slice(1);
        table.set([mixed[0], mixed[1], mixed[2], 255 * mixed[3]], 4 * value);
      }
    }
  }
  return table;
}

/** Return the bytes of a text in base64. */
export function bytes(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i += 1) out[i] = text.charCodeAt(i);
  return out;
}

/** Return a picture that can be drawn, from a JPEG in base64. */
export function decode(base64) {
  return createImageBitmap(new Blob([bytes(base64)], { type: "image/jpeg" }));
}

/** Return a picture that can be drawn, from an address of this page. */
export async function load(address, options = {}) {
  const reply = await fetch(address, { credentials: "same-origin", ...options });
  if (!reply.ok) throw new Error(`${reply.status}`);
  return createImageBitmap(await reply.blob());
}

/** Return a canvas with the colours of a heat map {rows, columns, values: base64 of uint8}; null if all is calm. */
export function heatCanvas(heat) {
  const grid = bytes(heat.values);
  if (!grid.some((value) => value > CALM)) return null;
  const width = heat.columns * FINE;
  const height = heat.rows * FINE;
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const table = new Uint32Array(COLOURS.buffer);
  const across = steps(width, heat.columns);
  for (let y = 0; y < height; y += 1) {
    const [top, below, down] = step(y, heat.rows);
    for (let x = 0; x < width; x += 1) {
      const [left, right, part] = across[x];
      const upper = grid[top * heat.columns + left] * (1 - part) + grid[top * heat.columns + right] * part;
      const lower = grid[below * heat.columns + left] * (1 - part) + grid[below * heat.columns + right] * part;
      out[y * width + x] = table[Math.round(upper * (1 - down) + lower * down)];
    }
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const steps = (length, cells) => Array.from({ length }, (_, i) => step(i, cells));

/** Return the two cells of the grid between which a fine pixel lies, and how near it is to the second. */
function step(i, cells) {
  const at = Math.min(cells - 1, Math.max(0, (i + 0.5) / FINE - 0.5));
  const first = Math.floor(at);
  return [first, Math.min(cells - 1, first + 1), at - first];
}

/** Make the pixels of a canvas those of the screen. Return whether its size changed. */
export function fit(canvas) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}

/** Return where a frame [height, width] lies on a canvas: {x, y, scale}, as large as fits, in the middle. */
export function placed(canvas, frame_hw) {
  const [height, width] = frame_hw;
  const scale = Math.min(canvas.width / width, canvas.height / height);
  return { x: (canvas.width - width * scale) / 2, y: (canvas.height - height * scale) / 2, scale };
}

/** Return the pixel [x, y] of the frame under a pointer event on a canvas. */
export function pixelAt(canvas, frame_hw, event) {
  const box = canvas.getBoundingClientRect();
  const ratio = canvas.width / box.width;
  const at = placed(canvas, frame_hw);
  return [((event.clientX - box.left) * ratio - at.x) / at.scale, ((event.clientY - box.top) * ratio - at.y) / at.scale];
}

/**
 * Draw a view on a canvas: {picture, frame_hw, heat, weight, boxes, regions, ignore, grey}. All but frame_hw may be left
 * out. `picture` is what decode() or load() return; `heat` is {rows, columns, area, values}, or the same with `canvas`
 * from heatCanvas(); `weight` is 0 to 1; boxes are [x, y, width, height] and regions lists of [x, y], in pixels of the
 * frame. `grey` draws the picture without colours and dark, and no heat map: it is not how things are now.
 */
export function draw(canvas, view) {
  fit(canvas);
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!view.frame_hw) return;
  const [height, width] = view.frame_hw;
  const at = placed(canvas, view.frame_hw);
  pen.setTransform(at.scale, 0, 0, at.scale, at.x, at.y);
  pen.imageSmoothingQuality = "high";
  if (view.picture) {
    pen.filter = view.grey ? "grayscale(1) brightness(0.55)" : "none";
    pen.drawImage(view.picture, 0, 0, width, height);
    pen.filter = "none";
  }
  const line = Math.min(2.5, Math.max(1, Math.min(canvas.width, canvas.height) / 300)) / at.scale;
  if (!view.grey) heatOn(pen, view, [0, 0, width, height]);
  outlines(pen, view.regions, line, "#7fd4ff", []);
  outlines(pen, view.ignore, line, "#d0d0d0", [4 * line, 3 * line]);
  if (!view.grey) for (const box of view.boxes ?? []) framed(pen, box, line);
}

function heatOn(pen, view, all) {
  if (!view.heat || !(view.weight ?? 1)) return;
  const canvas = "canvas" in view.heat ? view.heat.canvas : heatCanvas(view.heat);
  if (!canvas) return;
  pen.globalAlpha = view.weight ?? 1;
  pen.drawImage(canvas, ...(view.heat.area ?? all));
  pen.globalAlpha = 1;
}

function framed(pen, [x, y, width, height], line) {
  for (const [colour, thick] of [["#000000", 3 * line], ["#ffffff", 1.5 * line]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = thick;
    pen.strokeRect(x, y, width, height);
  }
}

function outlines(pen, polygons, line, colour, dashes) {
  for (const polygon of polygons ?? []) {
    if (polygon.length < 2) continue;
    const path = new Path2D();
    polygon.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
    pen.setLineDash([]);
    pen.strokeStyle = "#000000";
    pen.lineWidth = 2.5 * line;
    pen.stroke(path);
    pen.setLineDash(dashes);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.25 * line;
    pen.stroke(path);
    pen.setLineDash([]);
  }
}

/** Draw the scale of colours, from 60 % of the threshold to 255 %, on a canvas. */
export function legend(canvas) {
  fit(canvas);
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#56616a";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (let x = 0; x < canvas.width; x += 1) {
    const value = Math.round(CALM + (x / canvas.width) * (MAX - CALM));
    const [red, green, blue, alpha] = COLOURS.subarray(4 * value, 4 * value + 4);
    pen.fillStyle = `rgb(${red} ${green} ${blue} / ${alpha / 255})`;
    pen.fillRect(x, 0, 1, canvas.height);
  }
}

/** Where the threshold stands on the scale of legend(), 0 to 1. */
export const THRESHOLD_AT = (THRESHOLD - CALM) / (MAX - CALM);
