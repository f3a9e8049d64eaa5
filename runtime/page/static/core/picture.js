// One camera's picture on a canvas. It knows how old it is, and never shows an old picture as a new one.

import { address, get } from "./api.js";
import { h, say } from "./dom.js";
import { decode, draw, heatCanvas } from "./heat.js";
import { agoMs, link, shortName } from "./live.js";
import { delivers, stateLine } from "./status.js";
import { clock, duration } from "./time.js";
import { remember, remembered, t } from "./words.js";

const FRESH_MS = 3000; // a picture that came earlier is old
const LATE_MS = 3000; // and so is one that was captured so long before the last frame that was scored

/** Return the weight of heat maps that was chosen in this browser, 0 to 1. */
export function heatWeight() {
  const value = Number.parseFloat(remembered("heat") ?? "");
  return value >= 0 && value <= 1 ? value : 0.6;
}

/** Remember the weight of heat maps. */
export function setHeatWeight(weight) {
  remember("heat", String(weight));
  window.dispatchEvent(new CustomEvent("patchedge:heat"));
}

export class Picture {
  /** Make a canvas with a line over it that says how old its picture is; `node` is both. */
  constructor(camera) {
    this.camera = camera;
    this.canvas = h("canvas", { role: "img" });
    this.age = h("p", { class: "age", hidden: true });
    this.node = h("div", { class: "picture" }, this.canvas, this.age);
    this.view = { frame_hw: camera.frame_hw };
    this.preview = null;
    this.came = null;
    this.busy = false;
    this.next = null;
    this.drawn = "";
    this.size = new ResizeObserver(() => this.paint());
    this.size.observe(this.canvas);
    this.paint = this.paint.bind(this);
    window.addEventListener("patchedge:heat", this.paint);
  }

  end() {
    this.size.disconnect();
    window.removeEventListener("patchedge:heat", this.paint);
    this.view.picture?.close();
    this.ended = true;
  }

  /** Load the regions of the camera, which are drawn as outlines. */
  async loadRegions() {
    try {
      const { regions, ignore } = await get(`cameras/${encodeURIComponent(this.camera.key)}/settings`);
      Object.assign(this.view, { regions, ignore });
      this.paint();
    } catch { /* the picture is worth more than its outlines */ }
  }

  /** Load the last picture that is known, if no preview comes: it is shown as old. */
  async loadLast() {
    if (this.preview || this.view.picture || !this.camera.scored_ms) return;
    try {
      const reply = await fetch(address("cameras", this.camera.key, "picture"), { cache: "no-store" });
      if (!reply.ok) return;
      const picture = await createImageBitmap(await reply.blob());
      if (this.preview || this.ended) { picture.close(); return; }
      Object.assign(this.view, { picture, frame_hw: this.camera.frame_hw ?? [picture.height, picture.width] });
      this.captured = Number(reply.headers.get("X-Captured-Ms")) || this.camera.scored_ms;
      this.paint();
    } catch { /* there is none */ }
  }

  /** Take a preview. While one is decoded, only the newest of the others waits. */
  async take(preview) {
    this.next = [preview, Date.now(), performance.now()];
    if (this.busy) return;
    this.busy = true;
    while (this.next && !this.ended) {
      const [newest, ...came] = this.next;
      this.next = null;
      try { await this.put(newest, came); } catch (error) { console.error(error); }
    }
    this.busy = false;
  }

  async put(preview, came) {
    const picture = await decode(preview.jpeg);
    if (this.ended) return picture.close();
    this.view.picture?.close();
    const heat = preview.heat && { ...preview.heat, canvas: heatCanvas(preview.heat) };
    Object.assign(this.view, { picture, heat, frame_hw: preview.frame_hw, boxes: preview.boxes });
    Object.assign(this, { preview, came, captured: preview.captured_ms });
    this.paint();
    this.tick();
    return undefined;
  }

  /** Return how long ago the picture came, by the slower of two clocks: one may stand still while the machine sleeps. */
  sinceMs() {
    if (!this.came) return Infinity;
    return Math.max(Date.now() - this.came[0], performance.now() - this.came[1]);
  }

  /** Return whether the picture shows how things are now. */
  fresh() {
    if (link.state !== "open" || !delivers(this.camera) || this.sinceMs() > FRESH_MS) return false;
    return !this.camera.scored_ms || this.camera.state !== "live" || this.camera.scored_ms - this.captured < LATE_MS;
  }

  /** Write how old the picture is, and grey it once it is old. Call it each second and after each change. */
  tick(camera = this.camera) {
    this.camera = camera;
    const fresh = this.fresh();
    const age = Math.max(this.came ? this.sinceMs() : 0, agoMs(camera.device, this.captured));
    const words = fresh ? "" : this.captured ? t("last_picture", { time: clock(this.captured), duration: duration(age) }) : t("no_picture");
    this.age.hidden = fresh;
    say(this.age, words);
    this.node.classList.toggle("old", !fresh);
    this.canvas.setAttribute("aria-label", `${shortName(camera.key)}: ${fresh ? stateLine(camera) : words}`);
    if (this.view.grey !== !fresh) this.paint();
    return fresh;
  }

  paint() {
    if (this.ended || !this.canvas.isConnected) return;
    this.view.grey = !this.fresh();
    this.view.weight = this.camera.state === "live" ? heatWeight() : 0;
    draw(this.canvas, this.view);
  }
}
