// What a device or the page's process says in English, in the language of the page.

import { english, language, t, tOr } from "./words.js";

const BEGIN = "told.";
const BETWEEN = "; "; // what is wrong; what to do
let patterns = [];

/** Return what matches a sentence of the table of words; what is in {braces} may be anything within one, {why} several. */
function pattern(sentence) {
  const parts = sentence.split(/\{(\w+)\}/).map((part, i) => (i % 2 ? `(?<${part}>(?:${part === "why" ? "" : `(?!${BETWEEN})`}.)*?)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  return new RegExp(`^${parts.join("")}$`, "s");
}

/** Return all sentences that are known, those with the most letters first: they say the most. */
function known() {
  if (patterns.length) return patterns;
  const sentences = Object.entries(english()).filter(([key]) => key.startsWith(BEGIN));
  const letters = (text) => text.replace(/\{\w+\}/g, "").length;
  sentences.sort(([, a], [, b]) => letters(b) - letters(a));
  patterns = sentences.map(([key, text]) => [key.slice(BEGIN.length), pattern(text)]);
  return patterns;
}

/** Return a sentence that is known in the language of the page; null: it is not. */
function sentence(text) {
  for (const [name, matches] of known()) {
    const found = matches.exec(text);
    if (found) return t(`told.${name}`, found.groups ? { ...found.groups, why: told(found.groups.why ?? "") } : {});
  }
  return null;
}

/** The same, where a place may stand before it, such as a file or a key: "cameras.belt: ...". */
function placed(text) {
  const [, place, rest] = /^(\S+: )(.+)$/s.exec(text) ?? [];
  const translated = sentence(text);
  if (translated !== null || !place) return translated;
  const after = sentence(rest);
  return after === null ? null : place + after;
}

/** Return what is known of a text, sentence by sentence; null: nothing is. */
function translated(text) {
  const parts = text.split(BETWEEN);
  for (let count = parts.length; count > 0; count -= 1) {
    const here = placed(parts.slice(0, count).join(BETWEEN));
    if (here === null) continue;
    return count === parts.length ? here : here + BETWEEN + told(parts.slice(count).join(BETWEEN));
  }
  if (parts.length === 1) return null;
  const rest = translated(parts.slice(1).join(BETWEEN));
  return rest === null ? null : parts[0] + BETWEEN + rest;
}

/** Return a text in the language of the page; what is not known of it stays as it is. */
export function told(text) {
  if (!text || language() === "en") return text;
  return translated(text) ?? text;
}

/** Return a whole message in the language of the page; one that is not known, with whose words these are. */
export function toldOrQuoted(text) {
  if (!text || language() === "en") return text;
  return translated(text) ?? t("own_words", { text });
}

/** Return what has drifted, "the picture is darker than learned; ...", from the words of the device. */
export function drifted(text) {
  return text.split(BETWEEN).map((one) => tOr(`drift.${one.replaceAll(" ", "_")}`, one)).join(BETWEEN);
}
