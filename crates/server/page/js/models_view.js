// The models that the server holds, and its counters.

import { ask, json } from "./api.js";
import { byId, h } from "./dom.js";
import { bytes, count, level, seconds } from "./format.js";
import { quantile, requests, samples, single } from "./metrics.js";
import { isAnySeries } from "./state.js";
import { problem, tile } from "./words.js";

/** Milliseconds between two readings while the view is shown. */
const EVERY = 3000;

let timer = null;
let last = "";

/** Begins to read models and counters. */
export function show() {
  hide();
  refresh();
  timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
}

export function hide() {
  clearInterval(timer);
  timer = null;
}

async function refresh() {
  try {
    const [{ models }, server, text] = await Promise.all([json("v1/models"), json("v2"), ask("metrics").then((answer) => answer.text())]);
    const ready = models.filter((model) => model.state === "ready");
    const stats = await Promise.all(ready.map((model) => json(`v2/models/${encodeURIComponent(model.name)}/stats`).catch(() => null)));
    byId("models-problem").replaceChildren();
    draw(models, server, samples(text), new Map(ready.map((model, at) => [model.name, stats[at]?.model_stats?.[0]])));
  } catch (error) {
    // Without a key nothing is asked again, until the view is shown with a new one.
    if (error.status === 401) hide();
    byId("models-problem").replaceChildren(problem(error));
  }
}

function draw(models, server, counters, stats) {
  byId("models-note").textContent = `${server.name} ${server.version} · ${count(models.length, "model")}, read again every ${EVERY / 1000} seconds`;
  const times = (name) => seconds(quantile(counters, name, 0.5) ?? NaN);
  const all = [...requests(counters).values()];
  const sum = (name) => all.reduce((sum, counts) => sum + counts[name], 0);
  byId("totals").replaceChildren(
    tile("Requests answered", sum("ok").toLocaleString("en"), `${sum("refused").toLocaleString("en")} refused, ${sum("failed").toLocaleString("en")} failed`),
    tile("Half of the requests within", times("ptsm_request_seconds"), `half of the windows computed within ${times("ptsm_compute_seconds")}`),
    tile("Windows that wait", String(single(counters, "ptsm_queue_windows") ?? 0), count(single(counters, "ptsm_connections") ?? 0, "connection")),
    tile("Memory of the weights", bytes(single(counters, "ptsm_models_bytes") ?? 0), `${single(counters, "ptsm_worker_panics_total") ?? 0} panics of workers`),
  );
  const by_model = requests(counters);
  const cards = models.map((model) => card(model, by_model.get(model.name), stats.get(model.name)));
  // What did not change is left, so that a reader's place in it is kept.
  const text = cards.map((card) => card.outerHTML).join("");
  if (text !== last) byId("models").replaceChildren(...cards);
  last = text;
}

const TASKS = {
  "forecasting": "forecasts", "forecasting any series": "forecasts any series", "classification": "labels cases", "regression": "gives cases a number",
};

function card(model, counts = { ok: 0, refused: 0, failed: 0 }, stats = undefined) {
  const is_ready = model.state === "ready";
  const head = h("div", { class: "card-head" }, h("h2", {}, model.name),
    h("span", { class: is_ready ? "state ready" : "state down" }, is_ready ? "ready" : "not loaded"));
  if (!is_ready) return h("article", { class: "card" }, head, h("p", {}, model.reason ?? "It was unloaded."));
  const rows = [];
  const row = (name, ...value) => rows.push(h("div", {}, h("dt", {}, name), h("dd", {}, ...value)));
  const is_forecast = model.task.startsWith("forecasting");
  row("Context", count(model.context_length, "step"));
  if (is_forecast) row("Forecasts", isAnySeries(model) ? `any number of steps, ${model.prediction_length} at once` : count(model.prediction_length, "step"));
  row("Channels", isAnySeries(model) ? "any" : names(model.channels));
  const others = model.prediction_channels ?? model.channels;
  if (others.length !== model.channels.length) row("Of these forecast", names(others));
  if (model.schema?.future_covariates?.length) row("Known ahead", names(model.schema.future_covariates));
  if (model.frequency) row("Step", model.frequency);
  if (is_forecast) row("Intervals", model.interval_levels.length ? model.interval_levels.map(level).join(", ") : "none");
  row("Memory", bytes(model.bytes));
  row("Requests", `${counts.ok.toLocaleString("en")} answered, ${counts.refused.toLocaleString("en")} refused, ${counts.failed.toLocaleString("en")} failed`);
  const runs = stats?.inference_stats;
  if (runs?.success?.count) {
    row("Computing", `${seconds(runs.compute_infer.ns / 1e9 / runs.success.count)} a request on average`);
    row("Windows", `${stats.inference_count.toLocaleString("en")} in ${stats.execution_count.toLocaleString("en")} runs`);
    row("Last asked", new Date(stats.last_inference).toLocaleTimeString("en-GB"));
  }
  return h("article", { class: "card" }, head, h("p", { class: "muted" }, TASKS[model.task] ?? model.task),
    model.last_load ? h("p", { class: "problem-text" }, `The last load failed: ${model.last_load}`) : null,
    h("dl", {}, ...rows));
}

function names(all) {
  if (all.length <= 8) return all.join(", ");
  return h("details", {}, h("summary", {}, count(all.length, "channel")), all.join(", "));
}
