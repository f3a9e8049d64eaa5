// The problems of a safety report, which the device writes in English, in the words of the page.

import { h } from "../../core/dom.js";
import { t } from "../../core/words.js";

const KNOWN = [
  [/ still over the threshold, though learnt\.$/, "problem.still_over"],
  [/^The threshold would rise from ([\d.e+-]+) to ([\d.e+-]+)/, "problem.threshold"],
  [/ is now over its old score| are now over its old score/, "problem.risen"],
  [/ now over the threshold, and was normal/, "problem.normal_over"],
  [/^A known fault is found no longer/, "problem.golden"],
  [/^(\d+) of (\d+) synthetic faults/, "problem.faults"],
  [/^(\d+) of (\d+) alerts that nobody called false/, "problem.peaks"],
  [/^The pictures are too new/, "problem.too_new"],
];

/** Return a problem in plain words, with the device's own below it. */
export function problemWords(problem) {
  for (const [pattern, key] of KNOWN) {
    const found = pattern.exec(problem);
    if (!found) continue;
    const values = { a: found[1] ?? "", b: found[2] ?? "" };
    return [h("span", {}, t(key, values)), h("details", { class: "small muted" }, h("summary", {}, t("problem.exactly")), h("p", {}, problem))];
  }
  return problem;
}
