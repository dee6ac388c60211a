// The column beside the charts: the table, what its columns are, the model, steps and levels.

import { h } from "./dom.js";
import { bytes, count, level, time } from "./format.js";
import { forecasters, isAnySeries, levelChoices, model, state, steps } from "./state.js";

const ROLES = [["time", "time"], ["id", "series"], ["target", "forecast"], ["none", "not used"]];

/**
 * @param {object} actions What the fields change.
 * @param {(schema: object) => void} actions.setSchema
 * @param {(name: string) => void} actions.setModel
 * @param {(steps: number | null) => void} actions.setSteps
 * @param {(levels: number[]) => void} actions.setLevels
 * @param {(number: number) => void} actions.setSeries
 * @param {() => void} actions.another
 */
export function settings(actions) {
  return [table(actions), series(actions), network(actions), columns(actions)];
}

const group = (title, ...children) => h("section", { class: "group" }, h("h2", {}, title), ...children);

const field = (name, control, help) => {
  const id = control.id || `field-${name.toLowerCase().replaceAll(" ", "-")}`;
  control.id = id;
  if (help) control.setAttribute("aria-describedby", `${id}-help`);
  return h("div", { class: "field" }, h("label", { for: id }, name), control, help ? h("p", { id: `${id}-help`, class: "muted help" }, help) : null);
};

const select = (id, choices, chosen, change) => h("select", { id, change: (event) => change(event.target.value) },
  ...choices.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));

function table({ another }) {
  const { inspected, source } = state;
  const facts = [];
  if (inspected) {
    facts.push(count(inspected.rows, "row"), inspected.frequency ? `step ${inspected.frequency}` : null,
      inspected.num_series > 1 ? count(inspected.num_series, "series", "series") : null);
  }
  facts.push(bytes(source.body.size));
  return group("Table",
    h("p", { class: "file-name" }, source.name),
    h("p", { class: "muted" }, facts.filter(Boolean).join(" · ")),
    ...(inspected?.notes ?? []).map((note) => h("p", { class: "muted help" }, note)),
    h("p", { class: "buttons" }, h("button", { id: "another", type: "button", click: another }, "Another table")));
}

function series({ setSeries }) {
  const ids = state.rows?.ids ?? [];
  if (ids.length < 2) return null;
  return group("Series", field("Series that is shown", select("series", ids.map((id, at) => [String(at), id]), String(state.series),
    (value) => setSeries(Number(value)))));
}

function network({ setModel, setSteps, setLevels }) {
  const own = model();
  if (!own) return null;
  const choices = forecasters().map(({ name }) => [name, name === "builtin" ? "builtin (any series)" : name]);
  const about = (isAnySeries(own)
    ? "Forecasts any series, without training."
    : `Trained on ${own.channels.length > 4 ? count(own.channels.length, "channel") : own.channels.join(", ")}${own.frequency ? `, step ${own.frequency}` : ""}; sees ${own.context_length} steps.`);
  const change = (event) => setSteps(event.target.value === "" ? null : Math.max(1, Math.round(Number(event.target.value)) || 1));
  const horizon = h("input", { id: "horizon", type: "number", min: 1, max: 10000, inputmode: "numeric", value: String(steps()), change });
  const levels = levelChoices();
  const toggles = levels.map((choice) => h("button", {
    id: `level-${choice.level * 1000}`, type: "button", class: "chip", "aria-pressed": String(choice.is_chosen),
    click: () => setLevels(levels.filter((other) => (other === choice) !== other.is_chosen).map((other) => other.level)),
  }, level(choice.level)));
  const none = own && !isAnySeries(own) && steps() > own.prediction_length
    ? "None beyond the model's own steps." : "The model has none; ptsm calibrate adds them.";
  return group("Forecast",
    field("Model", select("model", choices, state.model, setModel), about),
    field("Steps", horizon, own && !isAnySeries(own) && steps() > own.prediction_length
      ? `Beyond the model's own ${own.prediction_length}, it is fed its own forecasts.` : null),
    h("div", { class: "field" }, h("span", { id: "levels-name", class: "label" }, "Intervals"),
      h("div", { class: "chips", role: "group", "aria-labelledby": "levels-name" }, ...toggles),
      toggles.length ? null : h("p", { class: "muted help" }, none)));
}

/** The roles of the columns, guessed or corrected. */
function roles() {
  const { schema, columns } = state.inspected;
  const { timestamp, id, targets } = { ...schema, ...state.schema };
  return columns.map((name) => ({
    name,
    role: name === timestamp ? "time" : name === id ? "id" : targets.includes(name) ? "target" : "none",
  }));
}

function columns({ setSchema }) {
  if (!state.inspected) return group("Reading", ...reading(setSchema));
  const all = roles();
  const change = (name, role) => {
    const changed = all.map((column) => {
      if (column.name === name) return { name, role };
      // There is one column of times and one of series.
      return column.role === role && (role === "time" || role === "id") ? { ...column, role: "none" } : column;
    });
    const of = (role) => changed.filter((column) => column.role === role).map((column) => column.name);
    setSchema({ ...state.schema, timestamp: of("time")[0] ?? "none", id: of("id")[0] ?? "none", targets: of("target") });
  };
  const missing = new Map(state.inspected.missing.map(({ channel, share }) => [channel, share]));
  const rows = all.map(({ name, role }, at) => {
    const share = missing.get(name);
    const control = select(`column-${at}`, ROLES, role, (value) => change(name, value));
    control.setAttribute("aria-label", `Role of the column ${name}`);
    return h("li", {}, h("span", { class: "column-name", title: name }, name,
      share > 0 ? h("span", { class: "muted" }, ` ${share < 0.001 ? "under 0.1" : (100 * share).toFixed(share < 0.01 ? 1 : 0)} % missing`) : null), control);
  });
  const own = model();
  const fixed = own && !isAnySeries(own);
  return group("Columns",
    h("p", { class: "muted help" }, fixed ? `${own.name} takes ${own.channels.length > 4 ? "its own channels" : own.channels.join(", ")}.` : "As guessed. Correct what is wrong."),
    h("ul", { class: "columns" }, ...rows),
    h("details", { class: "more", open: moreIsOpen(), toggle: (event) => { more = event.target.open; } },
      h("summary", {}, "More of the reading"), ...reading(setSchema)));
}

let more = false;
const moreIsOpen = () => more;

function reading(setSchema) {
  const { schema } = state;
  const set = (name, value) => {
    const changed = { ...schema, [name]: value };
    if (value === "" || value === null || value === false) delete changed[name];
    setSchema(changed);
  };
  const text = (name, value, help, kind = "text") => field(name[1], h("input", {
    id: `read-${name[0]}`, type: kind, min: kind === "number" ? 1 : null, value: value ?? "", placeholder: name[2] ?? null,
    change: (event) => set(name[0], kind === "number" && event.target.value !== "" ? Number(event.target.value) : event.target.value.trim()),
  }), help);
  const season = isAnySeries(model());
  const check = (name, title) => h("label", { class: "check" },
    h("input", { type: "checkbox", checked: schema[name] === true, change: (event) => set(name, event.target.checked) }), title);
  const names = [
    text(["timestamp", "Column of times"], schema.timestamp, "none: the rows are numbered"),
    text(["id", "Column of series"], schema.id, "Tells the series of a long table apart"),
  ];
  return [
    ...(state.inspected ? [] : names),
    season ? text(["season", "Season in steps", state.rows ? String(state.rows.season) : ""], schema.season, null, "number") : null,
    text(["frequency", "Step of the rows", state.rows?.frequency ?? ""], schema.frequency, "Such as 15min, 1h, 1d, 1mo"),
    field("Order of dates", select("read-dates", [["", "as it fits"], ["day-first", "day first"], ["month-first", "month first"], ["year-first", "year first"]],
      schema.dates ?? "", (value) => set("dates", value))),
    field("Rows of one time", select("read-duplicates", [["", "refuse"], ["first", "take the first"], ["last", "take the last"], ["mean", "take the mean"]],
      schema.duplicates ?? "", (value) => set("duplicates", value))),
    check("sort", "Put rows into the order of their times"),
    state.source.media === "text/csv" ? check("decimal_comma", "Decimal numbers have a comma") : null,
  ];
}

/** Where the data of the series that is shown begin and end. */
export function reach() {
  const times = state.rows?.series.times;
  if (!times || times.length === 0) return "";
  const { rows, first_row: first } = state.rows.series;
  return `${time(times[0])} to ${time(times[rows - first - 1])}`;
}
