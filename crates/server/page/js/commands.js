// The request of the page as commands that give the same numbers.

import { address, key, query, withComma } from "./api.js";
import { forecastSchema, isAnySeries, levels, model, options, state } from "./state.js";

/** A word of a shell; zsh reads one that begins with = as the path of a command. */
const word = (text) => (/^[\w@%+:,./-][\w@%+=:,./-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** A name of a file or directory, which is no option even where it begins like one. */
const path = (name) => word(name.startsWith("-") ? `./${name}` : name);

/** An option with its value. */
const option = (name, value) => (value.startsWith("-") ? `${name}=${word(value)}` : `${name} ${word(value)}`);

/** The file as the user has it. */
const file = () => state.source.packed ?? state.source.name;

/** Continues a command on further lines. */
const lines = (parts) => parts.join(" \\\n  ");

const isJson = () => state.source.media === "application/json";

/** Fields beside `data`, of a body of JSON. */
function fields() {
  const given = { ...options() };
  if (Object.keys(forecastSchema()).length) given.schema = forecastSchema();
  return given;
}

export function curl() {
  const url = address("v1/forecast");
  const auth = key() ? [`-H "Authorization: Bearer $PTSM_KEY"`] : [];
  if (isJson()) {
    const rest = JSON.stringify(fields()).slice(1);
    const show = state.source.packed ? `gunzip -c < ${path(file())}` : `cat ${path(file())}`;
    const body = `{ printf '{"data":'; ${show}; printf %s ${word(`,${rest}`)}; }`;
    return lines([`${body} | curl -fsS --data-binary @- -H 'Content-Type: application/json'`, ...auth, word(url)]);
  }
  const sent = state.source.packed ? `gunzip -c < ${path(file())} | curl -fsS --data-binary @-` : `curl -fsS --data-binary @${path(file())}`;
  return lines([
    `${sent} -H 'Content-Type: ${state.source.media}'`,
    ...auth,
    `-H 'Accept: application/json' ${word(url + query({ ...options(), ...forecastSchema() }))}`,
  ]);
}

export function python() {
  const text = JSON.stringify;
  const auth = key() ? [`headers["Authorization"] = "Bearer " + os.environ["PTSM_KEY"]`] : [];
  const headers = `headers = {"Content-Type": ${text(state.source.media)}, "Accept": "application/json"}`;
  const url = address("v1/forecast");
  const opener = state.source.packed ? "gzip.open" : "open";
  const read = isJson()
    ? [
      `table = json.load(${opener}(${text(file())}, "rt", encoding="utf-8"))`,
      `options = json.loads(${text(text(fields()))})`,
      `body = json.dumps({"data": table, **options}).encode()`,
      `url = ${text(url)}`,
    ]
    : [
      `body = ${opener}(${text(file())}, "rb").read()`,
      `url = ${text(url + query({ ...options(), ...forecastSchema() }))}`,
    ];
  return [
    `import ${state.source.packed ? "gzip, " : ""}json${auth.length ? ", os" : ""}, urllib.request`,
    "",
    ...read,
    headers,
    ...auth,
    "with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:",
    `    forecasts = json.load(answer)["forecasts"]`,
    "for forecast in forecasts:",
    `    for row, values in enumerate(forecast["values"]):`,
    `        print(forecast["id"], (forecast["timestamps"] or range(10**9))[row], *values)`,
  ].join("\n");
}

/** Options of the command for the fields of a schema. */
const FLAGS = {
  timestamp: "--timestamp", id: "--id", targets: "--targets", frequency: "--frequency", dates: "--dates",
  duplicates: "--duplicates", season: "--season", sort: "--sort", decimal_comma: "--decimal-comma",
};

export function shell() {
  const own = model();
  const { rows_before_end: back, prediction_length: steps } = options();
  const any = isAnySeries(own);
  const begin = any ? `ptsm forecast ${path(file())}` : `ptsm predict --model ${path(state.model)} --data ${path(file())}`;
  const network = any && state.model !== "builtin" ? [`--model ${path(state.model)}`] : [];
  const asked = any && options().levels ? [`--levels ${levels().join(",")}`] : [];
  const schema = Object.entries(forecastSchema())
    .filter(([, value]) => value !== false)
    .map(([name, value]) => (value === true ? FLAGS[name] : option(FLAGS[name], Array.isArray(value) ? value.join(",") : String(value))));
  const horizon = steps ? [`--horizon ${steps}`] : [];
  return lines([begin, ...network, ...horizon, ...asked, ...(back ? [`--rows-before-end ${back}`] : []), ...schema]);
}

/** What must be known to run a command. */
export function note(kind) {
  const notes = [];
  if (state.source.name.startsWith("pasted.") && kind) notes.push(`Save the pasted rows as ${state.source.name}.`);
  if (kind === "shell" && state.model !== "builtin") notes.push(`${state.model}: put the directory of the model here.`);
  if (kind !== "shell" && key()) notes.push("PTSM_KEY: a variable of the environment with your key.");
  const named = withComma(forecastSchema());
  if (named !== null && (kind === "shell" || !isJson())) notes.push(`${named}: a comma parts names here; give the column another name.`);
  return notes.join(" ");
}
