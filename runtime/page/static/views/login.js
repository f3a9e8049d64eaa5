// Who is here?

import { loadSession, locked, post, session } from "../core/api.js";
import { fill, h, say } from "../core/dom.js";
import { t } from "../core/words.js";

/** Show this view in an element. Return the function that ends it. */
export async function show(root) {
  const user = h("input", { id: "user", name: "username", autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" });
  const password = h("input", { id: "password", name: "password", type: "password", autocomplete: "current-password", required: true });
  const button = h("button", { class: "main" }, t("login.enter"));
  const wrong = h("p", { class: "alarm", role: "alert" });
  const send = async () => {
    say(wrong, "");
    try {
      await post("session", { user: user.value, password: password.value });
      await loadSession();
      window.dispatchEvent(new CustomEvent("patchedge:entered"));
    } catch (error) {
      say(wrong, error.message);
      password.value = "";
      password.focus();
    }
  };
  const enter = (event) => {
    event.preventDefault();
    return locked([user, password, button], send);
  };
  fill(root, h("form", { class: "panel login stack", onsubmit: enter }, h("h1", {}, t("title.login")),
    session.over ? h("p", { class: "warn", role: "status" }, t("login.over")) : null,
    h("div", { class: "field" }, h("label", { for: "user" }, t("login.user")), user),
    h("div", { class: "field" }, h("label", { for: "password" }, t("login.password")), password),
    wrong, button, h("p", { class: "muted small" }, t("login.help"))));
  user.focus();
  return () => {};
}
