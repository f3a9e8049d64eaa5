// The settings of alerts that people may move: as the device takes them, and as people read them.

const SECOND_MS = 1000;

/** Seconds, on a slider that is finer near to zero; `max` is that of the slider, `most` what the device takes. */
const seconds = (name, max, most, auto) => ({
  name, unit: "s", min: 0, max, most, step: 0.05, auto,
  shown: (value) => value / SECOND_MS,
  taken: (shown) => Math.round(shown * SECOND_MS),
  bent: 2,
});

export const FIELDS = [
  { name: "min_frames", unit: "", min: 1, max: 50, most: 10_000, step: 1, auto: 2, shown: (value) => value, taken: Math.round, bent: 1 },
  seconds("min_ms", 10, 3600, 150),
  seconds("merge_ms", 60, 3600),
  // Calm is at most (1 - hysteresis) times the threshold: people read the share of the threshold.
  { name: "hysteresis", unit: "%", min: 1, max: 100, most: 100, step: 1, shown: (value) => Math.round(100 * (1 - value)), taken: (shown) => Number((1 - shown / 100).toFixed(4)), bent: 1 },
  seconds("cooldown_ms", 600, 86_400),
];

export const SLIDER_STEPS = 1000;

/** Return where a value is on its slider, 0 to SLIDER_STEPS. */
export function toSlider(field, shown) {
  const share = Math.min(Math.max((shown - field.min) / (field.max - field.min), 0), 1);
  return Math.round(SLIDER_STEPS * share ** (1 / field.bent));
}

/** Return the value at a place of a slider, a multiple of the step. */
export function fromSlider(field, place) {
  const value = field.min + (field.max - field.min) * (place / SLIDER_STEPS) ** field.bent;
  const steps = Math.round(value / field.step);
  return Number((steps * field.step).toFixed(4));
}

/** Return the settings of a draft that differ from those in force. */
export function changed(draft, now) {
  return Object.fromEntries(Object.entries(draft).filter(([name, value]) => value !== (now[name] ?? null)));
}
