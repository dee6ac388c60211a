// Requests to the server that gave the page. Addresses are relative, so that a proxy may put the server under a path.

const KEY = "ptsm-key";

/** A refusal of the server, with its code and place. */
export class Refusal extends Error {
  constructor(status, body) {
    const error = body?.error ?? {};
    super(typeof error === "string" ? error : error.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = error.code ?? String(status);
    this.place = error.place ?? null;
  }
}

export const address = (path) => new URL(path, document.baseURI).href;

export function key() {
  return sessionStorage.getItem(KEY);
}

export function setKey(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

/** Asks, and gives the response of a success; what is wrong is a `Refusal`. */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const own = key();
  if (own) headers.set("Authorization", `Bearer ${own}`);
  let response;
  try {
    response = await fetch(address(path), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { error: { code: "offline", message: "the server cannot be reached" } });
  }
  if (response.ok) return response;
  const refusal = new Refusal(response.status, await response.json().catch(() => null));
  if (response.status === 401) dispatchEvent(new CustomEvent("keywanted", { detail: refusal }));
  throw refusal;
}

export const json = async (path, options) => (await ask(path, options)).json();

/** The query of options: lists have commas, what is not given is left out. */
export function query(options) {
  const parts = Object.entries(options)
    .filter(([, value]) => value !== null && value !== undefined && value !== false)
    .map(([name, value]) => {
      const text = Array.isArray(value) ? value.join(",") : String(value);
      return `${name}=${encodeURIComponent(text).replaceAll("%2C", ",").replaceAll("%20", "+")}`;
    });
  return parts.length ? `?${parts.join("&")}` : "";
}

/** A name in the lists of a schema that has a comma, which parts names in a query; null where there is none. */
export const withComma = (schema) => Object.values(schema).filter(Array.isArray).flat().find((name) => String(name).includes(",")) ?? null;

/**
 * Posts a table with options: in the query, or, where the table is JSON, beside it.
 * @param {import("./source.js").Source} source
 */
export async function post(path, source, { schema = {}, options = {}, accept = "application/json", signal = undefined } = {}) {
  const headers = { "Content-Type": source.media, Accept: accept };
  if (source.media !== "application/json") {
    const named = withComma(schema);
    if (named !== null) {
      const message = `${named}: a comma parts the names of columns in a request; give the column another name, or the table as JSON`;
      throw new Refusal(0, { error: { code: "comma", message } });
    }
    return ask(path + query({ ...options, ...schema }), { method: "POST", headers, body: source.body, signal });
  }
  const rest = Object.entries({ ...options, schema }).map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return ask(path, { method: "POST", headers, body: `{"data":${source.text}${rest.join("")}}`, signal });
}
