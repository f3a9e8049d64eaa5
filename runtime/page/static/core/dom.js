// Elements are made here and nowhere else, from text and never from HTML: what a device or a person wrote stays text.

const SVG = "http://www.w3.org/2000/svg";
const ADDRESSES = new Set(["href", "src", "poster", "action"]);

/** Set an attribute, a property or a listener of an element; null and false are left out. */
function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) {
    if (typeof value !== "function") throw new TypeError(`${name} needs a function`);
    node.addEventListener(name.slice(2), value);
  } else if (name === "style") {
    for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text); // allowed by the page's CSP
  } else if (name === "data") {
    Object.assign(node.dataset, value);
  } else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") {
    node[name] = value;
  } else if (ADDRESSES.has(name) && !safe(String(value))) {
    throw new TypeError(`not an address of this page: ${value}`);
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Return whether an address stays within this page: no other host, no script. */
function safe(address) {
  const url = new URL(address, document.baseURI);
  return url.origin === location.origin && (url.protocol.startsWith("http") || url.protocol === "blob:");
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/**
 * Return an element: h("button", {class: "main", onclick: save}, "Save"). `style` and `data` are objects; `onX` is a
 * function; children are elements, texts, arrays of them, or null.
 */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) set(node, name, value);
  return add(node, children);
}

/** Return an element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  return add(node, children);
}

/** Put these children in place of all that an element has. */
export function fill(node, ...children) {
  node.replaceChildren();
  return add(node, children);
}

/** Set the text of an element if it differs: screen readers and layout are left in peace otherwise. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Return a box that scrolls what is too wide or too high for it, with the keyboard too. */
export function scroller(words, ...children) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": words }, children);
}

const SHAPES = {
  alert: "M12 3 1.8 21h20.4L12 3zM12 9.5v5.5M12 17.4v1.2",
  check: "M4 12.5 9.5 18 20 6.5",
  cross: "M5 5l14 14M19 5 5 19",
  off: "M3 3l18 18M8 6h11v11M5 8v10h10",
  drift: "M3 16c4 0 4-8 9-8s5 8 9 8",
  down: "M12 4v12M6 11l6 6 6-6M4 21h16",
  back: "M14 5l-7 7 7 7",
};

/** Return an icon; it says nothing to a screen reader, as words stand beside it. */
export function icon(name) {
  const path = svg("path", { d: SHAPES[name], fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linejoin": "round", "stroke-linecap": "round" });
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}
