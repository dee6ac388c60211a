// The page: views, files that are dropped, the key.

import { json, key, setKey } from "./api.js";
import { byId, h } from "./dom.js";
import * as forecast from "./forecast_view.js";
import * as models from "./models_view.js";
import { EXAMPLES, example, ofFile, pasted } from "./source.js";
import { state } from "./state.js";
import { problem } from "./words.js";

const VIEWS = ["forecast", "models"];

function route() {
  const view = VIEWS.find((name) => location.hash === `#${name}`) ?? "forecast";
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view === "models" ? "Models" : "Forecast"} · ptsm`;
  if (view === "models") models.show();
  else models.hide();
}

/** Opens a table, whatever it comes from; what is wrong with it the forecast view shows, and that it cannot be had an alert above both views. */
async function open(source) {
  if (location.hash !== "#forecast") location.hash = "#forecast";
  byId("opening").replaceChildren();
  try {
    await forecast.open(await source);
  } catch (error) {
    byId("opening").replaceChildren(problem(error));
  }
}

function files() {
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) open(ofFile(file));
    event.target.value = "";
  });
  let depth = 0;
  const has_file = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const dropping = (shown) => { byId("dropping").hidden = !shown; };
  addEventListener("dragenter", (event) => {
    if (!has_file(event)) return;
    depth += 1;
    dropping(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) dropping(false);
  });
  addEventListener("dragover", (event) => { if (has_file(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!has_file(event)) return;
    event.preventDefault();
    depth = 0;
    dropping(false);
    const [file] = event.dataTransfer.files;
    if (file) open(ofFile(file));
  });
  byId("examples").replaceChildren(...EXAMPLES.map((one) => h("button", {
    type: "button", class: "example", click: () => open(example(one)),
  }, h("b", {}, one.title), h("span", { class: "muted" }, one.about))));
}

function paste() {
  const dialog = byId("paste-dialog");
  byId("paste").addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("close", () => {
    const text = byId("paste-text").value;
    if (dialog.returnValue === "ok" && text.trim()) open(pasted(text));
    dialog.returnValue = "";
  });
  // Rows pasted anywhere but into a field are a table.
  addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const is_field = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (!is_field && (text.includes("\n") || /^\s*[[{]/.test(text))) open(pasted(text));
  });
}

function keys() {
  const dialog = byId("key-dialog");
  byId("key-forget").addEventListener("click", () => dialog.close("forget"));
  byId("key-cancel").addEventListener("click", () => dialog.close("cancel"));
  const show = (text) => {
    byId("key-problem").textContent = text;
    byId("key-text").value = "";
    byId("key-forget").hidden = !key();
    if (!dialog.open) dialog.showModal();
  };
  byId("key").addEventListener("click", () => show(""));
  // What is being typed is left.
  addEventListener("keywanted", () => { if (!dialog.open) show(key() ? "This key is not known to the server." : ""); });
  dialog.addEventListener("close", async () => {
    const [given, asked] = [byId("key-text").value.trim(), dialog.returnValue];
    dialog.returnValue = "";
    if (asked === "forget") setKey(null);
    else if (asked === "ok" && given) setKey(given);
    else return;
    state.models = [];
    if (await greet()) dispatchEvent(new Event("keygiven"));
    route();
  });
}

/** Asks for the models, which also shows whether a key is wanted; whether they came. */
async function greet() {
  const said = byId("server");
  try {
    await forecast.readModels();
    const { version } = await json("v2");
    said.textContent = `ptsm ${version}`;
    said.className = "server up";
    return true;
  } catch (error) {
    said.textContent = error.status === 401 ? "key wanted" : "no answer";
    said.className = "server down";
    return false;
  }
}

forecast.start();
files();
paste();
keys();
addEventListener("hashchange", route);
route();
greet();
