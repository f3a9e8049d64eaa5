// All that is known of teaching a camera: collection, stored pictures, learning, versions. It is asked for again and again.

import { address, get } from "../../core/api.js";
import { cameras, on } from "../../core/live.js";

const BUSY_MS = 1000;
const CALM_MS = 5000;
const PAGE = 1000;
const REFUSED = 409;
const MAX_PICTURES = 5000;
const BUSY = new Set(["queued", "running", "activating"]);

/** Height and width of the frames of cameras, by key: their boxes are in pixels of these. */
export const sizes = new Map();

/** Return what becomes of a picture, as the device sees it: ready, aside, learnt, fault, rejected, held_out. */
export function fate(picture) {
  if (picture.kind === "held_out") return "held_out";
  if (picture.decided === "learnt") return "learnt";
  if (picture.decided === "accepted") return "ready";
  if (picture.decided === "rejected") return picture.kind === "peak" ? "fault" : "rejected";
  if (picture.kind === "peak") return "peak";
  return picture.kind === "taught" ? "ready" : "aside";
}

/** The state of a camera; `write(state)` is called when something of it was loaded, `failed(error)` when that fails. */
export class TeachState {
  constructor(key, write, failed) {
    this.key = key;
    this.teaching = null;
    this.pictures = [];
    this.versions = { versions: [], learning: { state: "idle" }, notice: "" };
    this._write = write;
    this._failed = failed;
    this._stop = new AbortController();
    this._off = on("camera", (camera) => { if (camera.key === key) this._changed(camera); });
  }

  get camera() {
    return cameras.get(this.key) ?? null;
  }

  get learning() {
    return this.versions.learning;
  }

  get busy() {
    return BUSY.has(this.learning.state);
  }

  /** What was learned last is in use: nobody went back since. */
  get done() {
    return this.learning.state === "done" && this.versions.versions.some((one) => one.active && one.id === this.learning.version);
  }

  /** When the version in use was learned, ms since 1970; Infinity: it was delivered. */
  get since() {
    return Date.parse(this.versions.versions.find((one) => one.active)?.at) || Infinity;
  }

  get collecting() {
    return this.teaching?.state === "running";
  }

  /** The pictures of which this becomes, the newest first. */
  of(...fates) {
    return this.pictures.filter((one) => fates.includes(fate(one))).reverse();
  }

  /** Ids of rejected pictures that were called normal before: their lesson, or their alert, was taken back. */
  get takenBack() {
    const learned = new Set(this.versions.versions.flatMap((one) => (one.report?.learnt ?? []).map(({ name }) => name.replace(/\.png$/, ""))));
    return new Set(this.pictures.filter((one) => one.decided === "rejected" && (one.kind === "peak" || learned.has(one.id))).map((one) => one.id));
  }

  /** The version that a report is shown of: one that waits, else the one in service, unless it is the first. */
  get reported() {
    const { versions } = this.versions;
    return versions.findLast((one) => one.waits && this.learning.state === "waiting") ?? versions.find((one) => one.active && one.parent) ?? null;
  }

  end() {
    this._stop.abort();
    clearTimeout(this._timer);
    this._off();
  }

  /** Load all of it, and again after a while. */
  async load() {
    clearTimeout(this._timer);
    const turn = (this._turn = (this._turn ?? 0) + 1);
    const options = { signal: this._stop.signal };
    const of = (...parts) => address("cameras", this.key, ...parts);
    try {
      const { frame_hw } = this.camera ?? (sizes.has(this.key) ? {} : await get(of(), options));
      if (frame_hw) sizes.set(this.key, frame_hw);
      const [teaching, pictures, versions] = await Promise.all([
        get(of("teaching"), options), this._allPictures(of("pictures"), options), this._allVersions(of("versions"), options),
      ]);
      if (turn !== this._turn) return;
      Object.assign(this, { teaching, pictures, versions });
      this._write(this);
    } catch (error) {
      if (this._stop.signal.aborted || turn !== this._turn) return;
      this._failed(error);
    }
    this._timer = setTimeout(() => this.load(), this.busy || this.collecting ? BUSY_MS : CALM_MS);
  }

  /** Return the versions; a device that does not learn says why, and may be taught nevertheless. */
  async _allVersions(path, options) {
    try {
      return await get(path, options);
    } catch (error) {
      if (error.status !== REFUSED) throw error;
      return { versions: [], learning: { state: "idle" }, notice: error.message };
    }
  }

  async _allPictures(path, options) {
    const found = [];
    for (let after = ""; found.length < MAX_PICTURES; after = found.at(-1).id) {
      const reply = await get(`${path}?limit=${PAGE}&after=${encodeURIComponent(after)}`, options);
      found.push(...reply.pictures);
      if (!reply.more || !reply.pictures.length) break;
    }
    return found;
  }

  /** What the stream of events says of learning is newer than what was loaded. */
  _changed(camera) {
    const seen = `${camera.learning?.state} ${camera.teaching?.state}`;
    if (this._seen !== undefined && this._seen !== seen) this.load();
    this._seen = seen;
  }
}
