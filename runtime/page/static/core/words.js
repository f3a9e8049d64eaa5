// Every word on the page comes from one table for each language: words/en.json, words/de.json.

export const LANGUAGES = { en: "English", de: "Deutsch" };
let table = {};
let first = {};
let chosen = "en";

/** Return what this browser remembers under a name, or null: storage may be off. */
export function remembered(name) {
  try { return localStorage.getItem(`patchedge.${name}`); } catch { return null; }
}

/** Remember a value in this browser. */
export function remember(name, value) {
  try { localStorage.setItem(`patchedge.${name}`, value); } catch { /* storage is off: it holds until the page is left */ }
}

/** Load the words of the language that was chosen here, or that the browser prefers. */
export async function loadWords() {
  const wanted = [remembered("language"), ...(navigator.languages ?? [])].map((name) => (name ?? "").slice(0, 2));
  await useLanguage(wanted.find((name) => name in LANGUAGES) ?? "en");
}

/** Load the words of a language and use them from now on. */
export async function useLanguage(name) {
  const [words, other] = await Promise.all([name, "en"].map(async (one) => (await fetch(`words/${one}.json`)).json()));
  table = words;
  first = other;
  chosen = name;
  document.documentElement.lang = name;
}

/** Return the table of the words in English. */
export function english() {
  return first;
}

/** Return the language in use, such as "de". */
export function language() {
  return chosen;
}

/**
 * Return the words for a key, with {name} filled from values. With a number `count`, `KEY.one` or `KEY.other` is taken
 * where the table has them.
 */
export function t(key, values = {}) {
  let text = table[key];
  if (text === undefined && typeof values.count === "number") {
    text = table[`${key}.${new Intl.PluralRules(chosen).select(values.count)}`] ?? table[`${key}.other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => format(values[name]));
}

/** Return the words for a key if there are some, else the text that is given. */
export function tOr(key, text) {
  return key in table ? t(key) : text;
}

function format(value) {
  return typeof value === "number" ? number(value) : String(value ?? "");
}

/** Return a number as it is written in the language in use. */
export function number(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return new Intl.NumberFormat(chosen, { maximumFractionDigits: digits }).format(value);
}

/** Return a score or threshold: three significant digits or so, the same width each time. */
export function score(value) {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return new Intl.NumberFormat(chosen, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Return a size in bytes as people read it. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) { bytes /= 1000; step += 1; }
  return `${number(bytes, bytes < 10 && step ? 1 : 0)} ${units[step]}`;
}
