// A stored picture as large as the screen allows, with what may be said of it.

import { whenPressed } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { clock } from "../../core/time.js";
import { t } from "../../core/words.js";
import { openDialog } from "../../parts/dialog.js";
import { boxed, pictureAddress, why } from "./sheet.js";

const KEYS = { y: "accept", n: "reject" };

/** Show a picture of a sheet large; arrow keys go to those beside it, Y and N judge it. */
export function showLarge(sheet, key, id) {
  const body = h("div", { class: "stack" });
  const dialog = openDialog(t("teach.large"), body);
  dialog.classList.add("large-picture");
  const write = () => {
    const { picture, before, after } = sheet.around(id);
    if (!picture) return dialog.close();
    const go = (other) => () => { if (other) { id = other.id; write(); } };
    const judge = (decision) => async () => {
      const next = after ?? before;
      await sheet.decide(decision, [id]);
      if (!next) return dialog.close();
      id = next.id;
      return write();
    };
    const buttons = sheet.decisions.map((decision) => h("button", { type: "button", class: decision === "accept" ? "main" : "", data: { name: decision }, onclick: whenPressed(judge(decision)) }, t(`teach.judge.${decision}`)));
    fill(body,
      boxed(key, picture, h("img", { src: pictureAddress(key, id), alt: t("teach.picture", { clock: clock(Date.parse(picture.time)) }) })),
      h("p", {}, `${clock(Date.parse(picture.time))} · ${why(picture)}`),
      h("p", { class: "row" },
        h("button", { type: "button", disabled: !before, onclick: go(before), data: { name: "before" } }, t("teach.large.before")),
        h("button", { type: "button", disabled: !after, onclick: go(after), data: { name: "after" } }, t("teach.large.after")),
        h("span", { class: "grow" }), buttons,
        h("button", { type: "button", onclick: () => dialog.close() }, t("close"))));
    if (!dialog.contains(document.activeElement) || document.activeElement === dialog) body.querySelector("button:not(:disabled)")?.focus();
    return undefined;
  };
  const keys = { ArrowLeft: "before", ArrowRight: "after", ...KEYS };
  dialog.addEventListener("keydown", (event) => {
    const name = keys[event.key];
    const button = name && body.querySelector(`button[data-name=${name}]`);
    if (button && !button.disabled) button.click();
  });
  write();
}
