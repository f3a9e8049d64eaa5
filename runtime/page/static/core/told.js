// What a device or the page's process says in English, in the language of the page.

import { english, language, t, tOr } from "./words.js";

const BEGIN = "told.";
let patterns = [];

/** Return what matches a sentence of the table of words; what is in {braces} may be anything. */
function pattern(sentence) {
  const parts = sentence.split(/\{(\w+)\}/).map((part, i) => (i % 2 ? `(?<${part}>.*?)` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  return new RegExp(`^${parts.join("")}$`, "s");
}

/** Return all sentences that are known, those with the most letters first: they say the most. */
function known() {
  if (patterns.length) return patterns;
  const sentences = Object.entries(english()).filter(([key]) => key.startsWith(BEGIN));
  sentences.sort(([, a], [, b]) => b.length - a.length);
  patterns = sentences.map(([key, sentence]) => [key.slice(BEGIN.length), pattern(sentence)]);
  return patterns;
}

/** Return a sentence in the language of the page, or as it is where it is not known. */
export function told(text) {
  if (!text || language() === "en") return text;
  for (const [name, matches] of known()) {
    const values = matches.exec(text)?.groups;
    if (!values && !matches.test(text)) continue;
    return t(`told.${name}`, values ? { ...values, why: told(values.why ?? "") } : {});
  }
  return text;
}

/** Return what has drifted, "the picture is darker than learned; ...", from the words of the device. */
export function drifted(text) {
  return text.split("; ").map((one) => tOr(`drift.${one.replaceAll(" ", "_")}`, one)).join("; ");
}
