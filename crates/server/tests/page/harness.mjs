// A server, a browser, and checks that are counted.

import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

import { chromium } from "playwright-core";

const AXE = fs.readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

export const binary = process.argv[2];
if (!binary) {
  console.error("usage: node scenarios.mjs PTSM [FOLDER FOR PICTURES]");
  process.exit(2);
}

export const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ptsm-page-"));
export const pictures = process.argv[3] ?? null;
export const inFolder = (name) => path.join(folder, name);
const started = [];
let [passed, failed] = [0, 0];

export function check(is_true, what) {
  if (is_true) passed += 1;
  else {
    failed += 1;
    console.log(`FAILED: ${what}`);
  }
}

export const equal = (found, wanted, what) => {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(a === b, `${what}: ${a?.slice(0, 300)} instead of ${b?.slice(0, 300)}`);
};

/** Runs a command in the folder and gives what it prints. */
export const run = (command, args, env = {}) => execFileSync(command, args, { cwd: folder, encoding: "utf8", env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });

/** Starts a server; its address. */
export function serve(args) {
  return new Promise((done, fail) => {
    const server = spawn(binary, ["serve", "--port", "0", ...args], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    started.push(server);
    let said = "";
    server.stderr.on("data", (text) => {
      said += text;
      const found = /(http:\/\/[\d.]+:\d+) \(page/.exec(said);
      if (found) done(`${found[1]}/`);
    });
    server.on("exit", () => fail(new Error(said)));
  });
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/**
 * A scenario in a window of its own. What the console says is a failure, but for the refusals that are `expected`; so is
 * every request to elsewhere.
 */
export async function scenario(name, { url, view = {}, expected = 0 }, act) {
  const began = Date.now();
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, acceptDownloads: true, ...view });
  const page = await context.newPage();
  let refused = 0;
  page.on("console", (message) => {
    if (/Failed to load resource.*status of 4/.test(message.text())) refused += 1;
    else check(false, `${name}: the console says ${message.text()}`);
  });
  page.on("pageerror", (error) => check(false, `${name}: ${error.message}`));
  page.on("request", (request) => check(request.url().startsWith(url) || /^(data|blob):/.test(request.url()), `${name}: asks ${request.url()}`));
  try {
    await page.goto(url);
    await page.waitForSelector(".server.up, .server.down, #key-dialog[open]", { state: "attached" });
    await act(page);
  } catch (error) {
    check(false, `${name}: ${error.message}`);
  }
  check(refused <= expected, `${name}: ${refused} requests were refused`);
  await context.close();
  console.log(`${name}: ${Date.now() - began} ms`);
}

/** Nothing that axe finds, and nothing wider than the window. */
export async function accessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  for (const { id, help, nodes } of violations) check(false, `${name}: ${id}: ${help}: ${nodes[0].target}`);
  check(violations.length === 0, `${name}: axe`);
  check(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${name}: wider than the window`);
}

export async function picture(page, name) {
  if (!pictures) return;
  await page.evaluate(() => {
    document.activeElement?.blur();
    scrollTo({ top: 0, behavior: "instant" });
  });
  await page.screenshot({ path: path.join(pictures, `${name}.png`) });
}

/** Waits until the forecast that was asked for last is drawn. */
export async function settled(page) {
  await page.waitForSelector("#work[aria-busy=false] .panel .u-over");
}

export async function end() {
  await browser.close();
  for (const server of started) server.kill("SIGINT");
  fs.rmSync(folder, { recursive: true, force: true });
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
