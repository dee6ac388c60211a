// The forecast view: what happens when something is chosen, and what is then asked and drawn.

import { json, post } from "./api.js";
import { commands } from "./command_tabs.js";
import { byId, h, save, say } from "./dom.js";
import { count, span, time } from "./format.js";
import { numbers } from "./numbers.js";
import { channelForecasts, results } from "./results.js";
import { reach, settings } from "./settings.js";
import * as now from "./state.js";
import { Panel } from "./panel.js";
import { problem } from "./words.js";

const { state } = now;

/** Channels that are shown at first. */
const FIRST_CHANNELS = 4;

/** @type {Panel[]} */
let panels = [];
let shape = "";
/** The request that runs; a newer one waits until it is answered, and only the newest waits. */
let running = null;
let again = false;
let generation = 0;
let is_reading = false;

/** Reads a table, and forecasts it with the model that fits. */
export async function open(source) {
  generation += 1;
  Object.assign(state, { source, model: null, inspected: null, schema: source.schema ?? {}, rows: null, series: 0, steps: null, levels: null, back: 0, forecast: null, history: 0 });
  state.hidden.clear();
  byId("start").hidden = true;
  byId("work").hidden = false;
  byId("title").textContent = source.name;
  show_empty();
  byId("title").focus({ preventScroll: true });
  await read(true);
}

/** Reads the models again, as with a new key. */
export async function readModels() {
  state.models = (await json("v1/models")).models;
}

/** Reads the table again, as after a correction, and forecasts. */
async function read(choose_model = false) {
  const mine = ++generation;
  wrong.clear();
  show_problem("reading", null);
  is_reading = true;
  show_busy();
  try {
    if (state.models.length === 0) await readModels();
    const inspected = await inspect(choose_model);
    if (mine !== generation) return;
    // The guesses stay those of the table; corrections lie over them.
    if (!state.inspected) state.inspected = inspected;
    else Object.assign(state.inspected, { ...inspected, schema: state.inspected.schema });
    if (choose_model || !state.model) state.model = fitting();
    // The forecast needs the steps of the model alone, so it need not wait for the rows.
    await Promise.all([readRows(mine), forecast()]);
  } catch (error) {
    if (mine === generation) show_problem("reading", error);
  } finally {
    if (mine === generation) is_reading = false;
  }
  if (mine !== generation) return;
  draw();
  show_busy();
  if (state.forecast) say(`The forecast of ${count(now.steps(), "step")} is drawn.`);
}

/** Without rows there is nothing to draw, and nothing of an earlier table is left to be seen. */
function show_empty() {
  byId("work").classList.toggle("empty", !state.rows);
  if (!state.rows) byId("subtitle").textContent = "";
}

function show_busy() {
  byId("work").classList.toggle("busy", is_reading);
  byId("work").setAttribute("aria-busy", String(is_reading || running !== null));
}

/** What the server makes of the table. A column that it takes for that of the series is taken as such, if nobody said otherwise. */
async function inspect(may_try) {
  try {
    // The season is no matter of how the table is read.
    const { season, ...schema } = state.schema;
    return await post("v1/inspect", state.source, { schema }).then((answer) => answer.json());
  } catch (error) {
    const named = /`id = (.+?)` if that column names the series/.exec(error.message);
    if (!may_try || !named || "id" in state.schema) throw error;
    state.schema = { ...state.schema, id: named[1] };
    return inspect(false);
  }
}

/** The model that the table's columns fit, or the one for any series. */
function fitting() {
  const columns = state.inspected.columns;
  const fits = (model) => !now.isAnySeries(model) && model.channels.every((name) => columns.includes(name));
  const all = now.forecasters();
  return (all.find(fits) ?? all.find(now.isAnySeries) ?? all[0])?.name ?? null;
}

/** Reads the rows of the series, with the times of the steps after them. */
async function readRows(mine = generation) {
  // The model reads the rows, so that they are on the grid of its forecast.
  const wanted = { model: state.model, series: state.series, steps: Math.max(now.steps(), 400) };
  const rows = await post("page/rows", state.source, { schema: now.forecastSchema(), options: wanted }).then((answer) => answer.json());
  if (mine !== generation) return;
  state.rows = rows;
  // Until now the usual steps of the table were not known.
  if (now.steps() > wanted.steps) return readRows(mine);
  state.back = Math.min(state.back, rows.series.rows - 1);
  if (rows.channels.length > FIRST_CHANNELS && state.hidden.size === 0) {
    rows.channels.slice(FIRST_CHANNELS).forEach((name) => state.hidden.add(name));
  }
  state.history = state.history || history_choices()[0].rows;
}

/** Asks for the forecast; while an answer is awaited, what changed is asked for once, after it. */
function forecast() {
  if (running) {
    again = true;
    return running;
  }
  const ask = async () => {
    do {
      again = false;
      const [mine, options] = [generation, now.options()];
      const began = performance.now();
      try {
        const answer = await post("v1/forecast", state.source, { schema: now.forecastSchema(), options });
        const timing = answer.headers.get("server-timing");
        const read = await answer.json();
        if (mine === generation) {
          state.forecast = { answer: read, back: options.rows_before_end ?? 0, took: performance.now() - began, timing };
          show_problem("forecast", null);
        }
      } catch (error) {
        if (mine === generation && !again) {
          state.forecast = null;
          show_problem("forecast", error);
        }
      }
      // While a table is read, its rows may not be there yet; what reads it draws.
      if (mine === generation && state.rows && !is_reading) draw_result();
    } while (again);
  };
  running = ask().finally(() => {
    running = null;
    show_busy();
  });
  show_busy();
  return running;
}

/** What is wrong, by what found it: what succeeds hides no error of something else. */
const wrong = new Map();

/** Shows an error of `who`, or that there is none. */
function show_problem(who, error) {
  if (error) wrong.set(who, error);
  else wrong.delete(who);
  // Rows and forecast of one table may be refused for one reason.
  const said = new Map([...wrong.values()].map((one) => [`${one.code} ${one.message}`, one]));
  byId("problem").replaceChildren(...[...said.values()].map(problem));
}

/** What can be chosen as history: some multiples of the steps, and all. */
function history_choices() {
  const { rows, first_row } = state.rows.series;
  const held = rows - first_row;
  const least = Math.max(24, 3 * now.steps(), 2 * state.rows.season);
  const some = [1, 3, 10].map((times) => times * least).filter((rows) => 1.2 * rows < held);
  return [...some, held].map((rows) => ({ rows, is_all: rows === held }));
}

function draw() {
  const fields = settings({
    setSchema: (schema) => change(() => { state.schema = schema; state.series = 0; }, () => read()),
    setModel: (name) => change(() => { Object.assign(state, { model: name, steps: null, levels: null }); }, () => read()),
    setSteps: (steps) => change(() => { state.steps = steps; state.history = 0; }, () => read()),
    setLevels: (levels) => change(() => { state.levels = levels; }, forecast),
    setSeries: (number) => change(() => { state.series = number; state.back = 0; }, () => read()),
    another: () => { byId("work").hidden = true; byId("start").hidden = false; byId("choose").focus(); },
  });
  const focused = document.activeElement?.id;
  byId("settings").replaceChildren(...fields.filter(Boolean));
  show_empty();
  if (state.rows) {
    draw_span();
    draw_channels();
    draw_result();
  }
  // What was drawn anew keeps the focus.
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus({ preventScroll: true });
}

function change(set, then) {
  set();
  draw();
  then();
}

/** The title, the charts and everything that depends on the forecast. */
function draw_result() {
  const own = now.model();
  const { series, season } = state.rows;
  byId("title").textContent = series.id ? `${state.source.name}: ${series.id}` : state.source.name;
  const took = state.forecast ? ` · ${Math.round(state.forecast.took)} ms` : "";
  byId("subtitle").textContent = [reach(), own ? `${count(now.steps(), "step")} by ${own.name}` : null, season > 1 ? `season of ${season}` : null].filter(Boolean).join(" · ") + took;
  const found = results();
  byId("scores").replaceChildren(...found.tiles);
  byId("legend").replaceChildren(...found.legend);
  draw_panels();
  draw_cutoff();
  const shown = channelForecasts().filter(({ forecast }) => !state.hidden.has(forecast.name));
  const fold = byId("numbers");
  const body = () => byId("numbers-body").replaceChildren(numbers(axis(), shown));
  if (fold.open) body();
  fold.ontoggle = () => { if (fold.open) body(); };
  byId("commands").replaceChildren(commands());
  byId("download").disabled = !state.forecast;
}

const axis = () => ({ at: state.rows.series.at, times: state.rows.series.times, isIndex: state.rows.is_index });

function draw_panels() {
  const { rows, first_row } = state.rows.series;
  const held = rows - first_row;
  const forecasts = channelForecasts();
  const shown = forecasts.filter(({ forecast }) => !state.hidden.has(forecast.name));
  const heights = shown.length === 1 ? 360 : shown.length === 2 ? 250 : 200;
  const wanted = JSON.stringify([shown.map(({ forecast }) => forecast.name), state.rows.is_index]);
  if (wanted !== shape) {
    panels.forEach((panel) => panel.destroy());
    panels = shown.map((_, at) => {
      const isLast = at === shown.length - 1;
      return new Panel({ isLast, height: heights + (isLast ? 40 : 0), onCut: set_cut });
    });
    byId("panels").replaceChildren(...panels.map((panel) => panel.element));
    shape = wanted;
  }
  const cut = held - state.back;
  const end = Math.min(held + now.steps(), state.rows.series.at.length);
  const window = { start: Math.max(0, held - state.history), end, cut };
  // While the line is dragged into the past, steps beyond the end stay empty, so that nothing moves below the pointer.
  panels.forEach((panel, at) => panel.draw(axis(), shown[at].seen, shown[at].forecast, window));
}

function draw_cutoff() {
  const { rows, first_row, times } = state.rows.series;
  const held = rows - first_row;
  const slider = byId("cutoff");
  const cut = held - state.back;
  Object.assign(slider, { min: String(Math.max(1, held - state.history)), max: String(held) });
  slider.value = String(cut);
  const text = times ? time(times[cut] ?? "") : `row ${first_row + cut + 1}`;
  slider.setAttribute("aria-valuetext", text);
  byId("cutoff-text").textContent = state.back > 0 ? `${text}, ${count(state.back, "row")} before the end` : `${text}, the end of the table`;
  byId("to-end").disabled = state.back === 0;
}

/** Begins the forecast at a row of those at hand. */
function set_cut(row) {
  if (!state.rows) return;
  const held = state.rows.series.rows - state.rows.series.first_row;
  const back = Math.min(Math.max(0, held - row), held - 1);
  if (back === state.back) return;
  state.back = back;
  draw_panels();
  draw_cutoff();
  forecast();
}

function draw_span() {
  const choices = history_choices();
  const data = state.rows.series.at.slice(0, state.rows.series.rows - state.rows.series.first_row);
  if (!choices.some(({ rows }) => rows === state.history)) state.history = choices[0].rows;
  byId("span").hidden = choices.length < 2;
  byId("span").replaceChildren(...choices.map(({ rows, is_all }) => h("button", {
    id: `history-${rows}`, type: "button", "aria-pressed": String(rows === state.history),
    click: () => change(() => {
      state.history = rows;
      if (state.back > rows - 1) state.back = 0;
    }, forecast),
  }, is_all ? "all" : state.rows.is_index ? `${rows} rows` : span(rows, data))));
}

function draw_channels() {
  const names = channelForecasts().map(({ forecast }) => forecast.name);
  const all = names.length ? names : state.rows.channels;
  byId("channels").hidden = all.length < 2;
  byId("channels").replaceChildren(...all.map((name) => h("button", {
    type: "button", class: "chip", "aria-pressed": String(!state.hidden.has(name)),
    click: (event) => {
      if (state.hidden.has(name)) state.hidden.delete(name);
      else state.hidden.add(name);
      event.target.setAttribute("aria-pressed", String(!state.hidden.has(name)));
      draw_result();
    },
  }, name)));
}

async function download() {
  try {
    const answer = await post("v1/forecast", state.source, { schema: now.forecastSchema(), options: now.options(), accept: "text/csv" });
    save(`${state.source.name.replace(/\.[^.]*$/, "")}-forecast.csv`, await answer.blob());
    show_problem("download", null);
    say("The forecast was saved as CSV.");
  } catch (error) {
    show_problem("download", error);
  }
}

/** Listens to what is always on the page. */
export function start() {
  byId("cutoff").addEventListener("input", (event) => set_cut(Number(event.target.value)));
  byId("to-end").addEventListener("click", () => set_cut(Number(byId("cutoff").max)));
  byId("download").addEventListener("click", download);
  new ResizeObserver(() => panels.forEach((panel) => panel.resize())).observe(byId("panels"));
  addEventListener("themechange", () => {
    shape = "";
    if (state.rows) draw_panels();
  });
  // With a key that is accepted, what was refused is asked again.
  addEventListener("keygiven", () => { if (state.source) read(true); });
}
