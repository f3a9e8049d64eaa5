// Windows over the page: questions with two answers, and the one question for a name.

import { session } from "../core/api.js";
import { h } from "../core/dom.js";
import { remember, remembered, t } from "../core/words.js";

/** Open a window with some content; return it. It is gone once it is closed. */
export function openDialog(label, ...content) {
  const dialog = h("dialog", { "aria-label": label }, ...content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask a question with yes and no; return whether it was yes. */
export function confirmed(question, { text = "", yes, danger = false }) {
  return new Promise((answer) => {
    const close = (value) => () => dialog.close(value);
    const dialog = openDialog(
      question,
      h("h2", {}, question),
      text ? h("p", {}, text) : null,
      h(
        "p",
        { class: "buttons" },
        h("button", { type: "button", class: danger ? "danger" : "main", onclick: close("yes") }, yes),
        h("button", { type: "button", onclick: close("") }, t("cancel")),
      ),
    );
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"));
  });
}

/** Return the name of the person here: of the user, or one that is asked for once where there are no users. */
export function personName() {
  const known = session.user || remembered("name");
  if (known) return Promise.resolve(known);
  return new Promise((answer) => {
    const name = h("input", { type: "text", name: "name", maxlength: 64, required: true, autocomplete: "name" });
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", {}, t("name.title")),
      h("p", {}, t("name.why")),
      h("label", {}, t("name.label"), name),
      h(
        "p",
        { class: "buttons" },
        h("button", { class: "main", value: "ok" }, t("name.save")),
        h("button", { type: "button", onclick: () => dialog.close("") }, t("cancel")),
      ),
    );
    const dialog = openDialog(t("name.title"), form);
    dialog.addEventListener("close", () => {
      const said = dialog.returnValue === "ok" ? name.value.trim() : "";
      if (said) remember("name", said);
      answer(said);
    });
  });
}
