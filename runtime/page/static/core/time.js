// Times as people read them. Wall clocks come in milliseconds since 1970 UTC and are shown in the browser's zone.

import { language, t } from "./words.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function write(ms, options) {
  return new Intl.DateTimeFormat(language(), options).format(new Date(ms));
}

/** Return how hours are counted: to 24 in German, else as this browser's own language counts them. */
export function hourCycle() {
  if (language() === "de") return "h23";
  return new Intl.DateTimeFormat(navigator.language, { hour: "numeric" }).resolvedOptions().hourCycle;
}

function sameDay(a, b) {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** Return a time of day, "14:02:11" or "02:02:11 PM"; with its date before if it is not today. */
export function clock(ms, { seconds = true } = {}) {
  const time = write(ms, { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hourCycle: hourCycle() });
  return sameDay(ms, Date.now()) ? time : `${day(ms)}, ${time}`;
}

/** Return the zone of the times that are shown, as this browser names it: "CET", "GMT+1". */
export function zone(ms = Date.now()) {
  const parts = new Intl.DateTimeFormat(language(), { timeZoneName: "short" }).formatToParts(new Date(ms));
  return parts.find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** Return a date, "26 Nov 2026". */
export function day(ms) {
  return write(ms, { day: "numeric", month: "short", year: "numeric" });
}

/** Return a duration in words, "35 s", "12 min", "3 h 20 min", "4 days": never more than two units. */
export function duration(ms) {
  const whole = Math.max(0, ms);
  if (whole < MINUTE) return t("time.s", { count: Math.floor(whole / SECOND) });
  if (whole < HOUR) return t("time.min", { count: Math.floor(whole / MINUTE) });
  if (whole < DAY) {
    const minutes = Math.floor((whole % HOUR) / MINUTE);
    const hours = t("time.h", { count: Math.floor(whole / HOUR) });
    return minutes ? `${hours} ${t("time.min", { count: minutes })}` : hours;
  }
  return t("time.days", { count: Math.floor(whole / DAY) });
}

/** Return how long ago something was, "35 s ago". */
export function ago(ms, now = Date.now()) {
  return t("time.ago", { duration: duration(now - ms) });
}

/** Call a function now and each second until the function that is returned is called. */
export function eachSecond(action) {
  action();
  const timer = setInterval(action, SECOND);
  document.addEventListener("visibilitychange", action); // timers sleep in a hidden tab
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", action);
  };
}
