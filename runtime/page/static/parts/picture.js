// A picture with boxes over it, as large as its place allows.

import { h, svg } from "../core/dom.js";
import { t } from "../core/words.js";

/**
 * Return a picture: {address, frame_hw, boxes, alt, lazy}. Boxes are [x, y, width, height] in pixels of the frame. Where
 * there is no picture any more, words stand in its place.
 */
export function picture({ address, frame_hw, boxes = [], alt = "", lazy = true }) {
  const [height, width] = frame_hw?.length ? frame_hw : [3, 4];
  const place = h("span", { class: "framed", style: { "aspect-ratio": `${width} / ${height}` } });
  if (!address) return missing(place);
  const image = h("img", { src: address, alt, loading: lazy ? "lazy" : null, decoding: "async", draggable: "false" });
  image.addEventListener("error", () => missing(place));
  place.append(image);
  if (boxes.length && frame_hw?.length) place.append(boxesOver(boxes, width, height));
  return place;
}

function missing(place) {
  place.replaceChildren(h("span", { class: "picture-missing" }, t("picture.none")));
  return place;
}

function boxesOver(boxes, width, height) {
  const rectangles = boxes.flatMap(([x, y, w, tall]) =>
    ["box-under", "box-over"].map((name) => svg("rect", { class: name, x, y, width: w, height: tall })),
  );
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "boxes", "aria-hidden": "true" }, rectangles);
}
