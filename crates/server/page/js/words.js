// Pieces that several views show.

import { h } from "./dom.js";

/** What is wrong, with the code and the place that the server names. */
export function problem(error) {
  const place = error.place ? h("span", { class: "muted" }, ` (${error.place})`) : null;
  const code = error.code ? h("span", { class: "code" }, error.code) : null;
  return h("p", { class: "notice" }, code, h("span", {}, error.message, place));
}

/** A number with its name and a remark. */
export function tile(name, value, note, role = "") {
  return h("div", { class: `tile ${role}` }, h("span", { class: "tile-name" }, name), h("span", { class: "tile-value" }, value), h("span", { class: "tile-note" }, note));
}
