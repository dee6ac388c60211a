// What a person does with the page of `ptsm serve`, in a headless browser; see docs/serving.md.
// npm install && node scenarios.mjs PTSM [FOLDER FOR PICTURES]

import fs from "node:fs";
import { gzipSync } from "node:zlib";

import { accessible, binary, check, end, equal, inFolder, picture, run, scenario, serve, settled } from "./harness.mjs";

const examples = new URL("../../page/examples/", import.meta.url);
for (const name of ["us-flu.csv", "new-york-weather.csv"]) fs.copyFileSync(new URL(name, examples), inFolder(name));

run(binary, ["train", "--data", "us-flu.csv", "--out", "flu", "--context-length", "104", "--prediction-length", "26", "--epochs", "2", "--loss", "quantile"]);
const hourly = Array.from({ length: 90 * 24 }, (_, at) => 20 + ((at * 7919) % 13) + 5 * (Math.floor(at / 24) % 7));
const hour = (at) => new Date(Date.UTC(2024, 0, 1) + at * 3_600_000).toISOString().slice(0, 19);
fs.writeFileSync(inFolder("hours.csv"), `time,visitors\n${hourly.map((value, at) => `${hour(at)},${value}`).join("\n")}\n`);
run(binary, ["train", "--data", "hours.csv", "--resample", "1d:mean", "--out", "daily", "--context-length", "14", "--prediction-length", "5", "--epochs", "2"]);
const url = await serve(["--model", "flu=flu", "--model", "daily=daily"]);

const text = (page, selector) => page.locator(selector).innerText();
const choose = async (page, name) => {
  await page.setInputFiles("#file", inFolder(name));
  await page.waitForFunction((name) => document.getElementById("title").textContent.startsWith(name), name);
  await settled(page);
};
const cutoff = async (page, rows) => {
  await page.evaluate((rows) => {
    const slider = document.getElementById("cutoff");
    slider.value = String(Number(slider.max) - rows);
    slider.dispatchEvent(new Event("input"));
  }, rows);
  await settled(page);
};
const copied = async (page, tab) => {
  await page.getByRole("tab", { name: tab, exact: true }).click();
  return text(page, "#command-panel code");
};
/** The answer of the next forecast. */
const answered = (page) => page.waitForResponse((response) => response.url().includes("/v1/forecast") && response.ok());

await scenario("a file is dropped", { url }, async (page) => {
  await accessible(page, "start");
  const data = fs.readFileSync(inFolder("us-flu.csv"), "utf8");
  const began = Date.now();
  const dropped = await page.evaluateHandle((data) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([data], "mine.csv"));
    return transfer;
  }, data);
  await page.dispatchEvent("body", "dragenter", { dataTransfer: dropped });
  check(await page.locator("#dropping").isVisible(), "the page shows that it takes the file");
  await page.dispatchEvent("body", "drop", { dataTransfer: dropped });
  await page.waitForFunction(() => /\d+ ms$/.test(document.getElementById("subtitle").textContent));
  console.log(`  from the drop to the forecast: ${Date.now() - began} ms`);
  equal(await text(page, "#title"), "mine.csv", "title");
  equal(await page.locator(".panel").count(), 2, "charts");
  equal(await page.locator("#model").inputValue(), "flu", "the model that the columns fit");
  await page.selectOption("#model", "builtin");
  await settled(page);
  equal(await page.locator("#horizon").inputValue(), "13", "usual steps of weeks");
});

await scenario("rows are pasted", { url }, async (page) => {
  await page.getByRole("button", { name: "Paste rows" }).click();
  const rows = Array.from({ length: 40 }, (_, at) => `${at + 1}\t${10 + (at % 4)}`).join("\n");
  await page.fill("#paste-text", `t\tvisits\n${rows}`);
  await page.locator("#paste-dialog").getByRole("button", { name: "Forecast" }).click();
  await settled(page);
  check((await text(page, "#subtitle")).includes("season of 4"), await text(page, "#subtitle"));
  await page.getByRole("button", { name: "Another table" }).click();
  await page.evaluate(() => {
    const clipboard = new DataTransfer();
    clipboard.setData("text/plain", JSON.stringify([...Array(30).keys()].map((x) => ({ x: x % 5 }))));
    dispatchEvent(new ClipboardEvent("paste", { clipboardData: clipboard, bubbles: true }));
  });
  await page.waitForFunction(() => document.getElementById("title").textContent === "pasted.json");
  await settled(page);
  equal(await page.locator(".panel").count(), 1, "charts of pasted JSON");
});

await scenario("the line is dragged into the past", { url }, async (page) => {
  await page.getByRole("button", { name: /Flu in/ }).click();
  await settled(page);
  await page.selectOption("#model", "builtin");
  await settled(page);
  check((await text(page, "#scores")).includes("Drag the dashed line"), "a hint");
  const line = await page.locator(".cut").first().boundingBox();
  await page.mouse.move(line.x + line.width / 2, line.y + 40);
  await page.mouse.down();
  await page.mouse.move(line.x - 150, line.y + 40, { steps: 8 });
  await page.mouse.up();
  await settled(page);
  const back = Number(/(\d+) rows before/.exec(await text(page, "#cutoff-text"))[1]);
  check(back > 10 && back < 60, `dragged to ${back}`);
  await page.focus("#cutoff");
  await page.keyboard.press("ArrowRight");
  await settled(page);
  equal(Number(/(\d+) rows? before/.exec(await text(page, "#cutoff-text"))[1]), back - 1, "one step by a key");
  // The error is that of the answer against the table.
  await cutoff(page, 30);
  const table = fs.readFileSync(inFolder("us-flu.csv"), "utf8").trim().split("\n").slice(1).map((row) => Number(row.split(",")[1]));
  const answer = await (await fetch(`${url}v1/forecast?model=builtin&rows_before_end=30`, {
    method: "POST", headers: { "Content-Type": "text/csv", Accept: "application/json" }, body: fs.readFileSync(inFolder("us-flu.csv")),
  })).json();
  const [values, first] = [answer.forecasts[0].values, answer.forecasts[0].first_row];
  const mean = (of) => values.reduce((sum, row, at) => sum + Math.abs(of(row, at) - table[first + at]), 0) / values.length;
  const shown = [...(await text(page, ".panel:first-child .readout")).matchAll(/[\d.]+/g)].map(Number);
  check(Math.abs(shown[0] - mean((row) => row[0])) < 5e-4, `error ${shown[0]}`);
  check(Math.abs(shown[1] - mean((_, at) => table[first + at - 52])) < 5e-4, `seasonal naive ${shown[1]}`);
  await accessible(page, "cutoff");
  await picture(page, "page-forecast");
  await page.getByRole("button", { name: "To the end" }).click();
  await settled(page);
  check((await text(page, "#cutoff-text")).includes("the end of the table"), "back at the end");
});

await scenario("channels, levels, steps and columns are chosen", { url }, async (page) => {
  await choose(page, "us-flu.csv");
  await page.selectOption("#model", "builtin");
  await settled(page);
  await page.locator("#channels").getByRole("button", { name: "patients" }).click();
  equal(await page.locator(".panel").count(), 1, "one channel is hidden");
  await Promise.all([answered(page), page.getByRole("button", { name: "50 %" }).click()]);
  await settled(page);
  equal((await text(page, "#legend")).match(/\d+ % interval/g), ["95 % interval", "80 % interval", "50 % interval"], "legend");
  await page.fill("#horizon", "20");
  await Promise.all([answered(page), page.keyboard.press("Enter")]);
  await settled(page);
  await page.getByText("The numbers as a table").click();
  await page.waitForSelector("#numbers-body tbody tr");
  equal(await page.locator("#numbers-body tbody tr").count(), 20, "rows of the table of numbers");
  await accessible(page, "numbers");
  await page.getByText("More of the reading").click();
  await page.fill("#read-season", "26");
  await Promise.all([answered(page), page.keyboard.press("Enter")]);
  await settled(page);
  check((await text(page, "#subtitle")).includes("season of 26"), await text(page, "#subtitle"));
  check((await copied(page, "ptsm")).includes("--season 26"), "the season is in the command");
  await Promise.all([answered(page), page.selectOption("#column-2", "none")]);
  await settled(page);
  check((await copied(page, "curl")).includes("targets=flu_share"), "the corrected columns are in the command");
  await Promise.all([answered(page), page.selectOption("#model", "flu")]);
  await settled(page);
  equal(await page.locator("#horizon").inputValue(), "26", "steps of the model");
});

await scenario("a long table is read", { url }, async (page) => {
  await page.getByRole("button", { name: /Weather of/ }).click();
  await settled(page);
  equal(await page.locator("#series option").allInnerTexts(), ["EWR", "JFK", "LGA"], "series");
  await Promise.all([answered(page), page.selectOption("#series", "1")]);
  await settled(page);
  check((await text(page, "#title")).endsWith("JFK"), "title");
});

await scenario("a long table whose series nobody named", { url, expected: 1 }, async (page) => {
  await choose(page, "new-york-weather.csv");
  equal(await page.locator("#series option").count(), 3, "the column of the series is taken as the server says");
});

await scenario("what cannot be read is said, and put right", { url, expected: 2 }, async (page) => {
  fs.writeFileSync(inFolder("twice.csv"), `day,y\n${Array.from({ length: 60 }, (_, at) => `2024-01-${String(1 + Math.floor(at / 2)).padStart(2, "0")},${at % 7}`).join("\n")}\n`);
  await page.setInputFiles("#file", inFolder("twice.csv"));
  await page.waitForSelector("#problem .notice");
  check((await text(page, "#problem")).startsWith("D002"), await text(page, "#problem"));
  check(!(await page.locator(".chart-card").isVisible()), "no chart without rows");
  await accessible(page, "problem");
  await page.selectOption("#read-duplicates", "mean");
  await settled(page);
  equal(await text(page, "#problem"), "", "no problem is left");
});

await scenario("downloads and commands give the same numbers", { url }, async (page) => {
  await choose(page, "us-flu.csv");
  for (const [model, directory] of [["builtin", null], ["flu", "flu"]]) {
    await page.selectOption("#model", model);
    await settled(page);
    await cutoff(page, 30);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
    const table = fs.readFileSync(await download.path(), "utf8");
    equal(run("bash", ["-c", (await copied(page, "ptsm")).replace(/^ptsm/, `'${binary}'`)]), table, `${model}: ptsm`);
    const [head, ...rows] = table.trim().split("\n").map((row) => row.split(","));
    const wanted = rows.map((row) => Number(row[head.indexOf("flu_share")]));
    const json = JSON.parse(run("bash", ["-c", await copied(page, "curl")]));
    equal(json.forecasts[0].values.map((row) => row[0]), wanted, `${model}: curl`);
    fs.writeFileSync(inFolder("copied.py"), await copied(page, "Python"));
    const lines = run("python3", ["copied.py"]).trim().split("\n");
    equal(lines.map((line) => Number(line.trim().split(" ")[1])), wanted, `${model}: Python`);
    check(directory === null || (await text(page, "#command-panel")).length > 0, "note");
  }
});

await scenario("JSON as a file and its commands", { url }, async (page) => {
  const rows = Array.from({ length: 60 }, (_, at) => ({ x: at % 5, "it's": at }));
  fs.writeFileSync(inFolder("table.json"), JSON.stringify(rows));
  await choose(page, "table.json");
  await page.fill("#horizon", "4");
  await Promise.all([answered(page), page.keyboard.press("Enter")]);
  await settled(page);
  const curl = JSON.parse(run("bash", ["-c", await copied(page, "curl")]));
  fs.writeFileSync(inFolder("copied.py"), await copied(page, "Python"));
  const python = run("python3", ["copied.py"]).trim().split("\n").map((line) => Number(line.trim().split(/ +/)[1]));
  equal(python, curl.forecasts[0].values.map((row) => row[0]), "JSON: curl and Python");
  equal(python.length, 4, "steps");
});

await scenario("a packed file whose name begins like an option", { url }, async (page) => {
  fs.writeFileSync(inFolder("-flu.csv.gz"), gzipSync(fs.readFileSync(inFolder("us-flu.csv"))));
  await page.setInputFiles("#file", inFolder("-flu.csv.gz"));
  await page.waitForFunction(() => document.getElementById("title").textContent.startsWith("-flu.csv"));
  await settled(page);
  await page.selectOption("#model", "builtin");
  await settled(page);
  const curl = JSON.parse(run("bash", ["-c", await copied(page, "curl")]));
  const wanted = curl.forecasts[0].values.map((row) => row[0]);
  equal(wanted.length, 13, "packed: curl");
  fs.writeFileSync(inFolder("copied.py"), await copied(page, "Python"));
  const lines = run("python3", ["copied.py"]).trim().split("\n");
  equal(lines.map((line) => Number(line.trim().split(" ")[1])), wanted, "packed: Python");
  const rows = run("bash", ["-c", (await copied(page, "ptsm")).replace(/^ptsm/, `'${binary}'`)]).trim().split("\n").slice(1);
  equal(rows.length, 13, "packed: ptsm");
});

await scenario("a model that makes one row of several", { url }, async (page) => {
  await choose(page, "hours.csv");
  equal(await page.locator("#model").inputValue(), "daily", "the model that the columns fit");
  check((await text(page, "#subtitle")).includes("5 steps by daily"), await text(page, "#subtitle"));
  await cutoff(page, 10);
  // The error is that against the days of the table, which are means of hours.
  const days = Array.from({ length: 90 }, (_, day) => hourly.slice(24 * day, 24 * day + 24).reduce((sum, one) => sum + one, 0) / 24);
  const answer = await (await fetch(`${url}v1/forecast?model=daily&rows_before_end=10`, {
    method: "POST", headers: { "Content-Type": "text/csv", Accept: "application/json" }, body: fs.readFileSync(inFolder("hours.csv")),
  })).json();
  const [{ values, first_row: first }] = answer.forecasts;
  equal(first, 80, "the row of the forecast is one of days");
  const error = values.reduce((sum, [value], at) => sum + Math.abs(value - days[first + at]), 0) / values.length;
  const shown = [...(await text(page, ".panel:first-child .readout")).matchAll(/[\d.]+/g)].map(Number);
  check(Math.abs(shown[0] - error) < 1e-2 * (1 + error), `error ${shown[0]} instead of ${error}`);
});

await scenario("a name with a comma, and an example that cannot be had", { url, expected: 1 }, async (page) => {
  fs.writeFileSync(inFolder("comma.csv"), `"a,b",c,d\n${Array.from({ length: 60 }, (_, at) => `${at % 5},${at % 7},${at}`).join("\n")}\n`);
  await choose(page, "comma.csv");
  await page.selectOption("#column-2", "none");
  await page.waitForSelector("#problem .notice");
  check((await text(page, "#problem")).includes("a,b: a comma"), await text(page, "#problem"));
  await page.getByRole("button", { name: "Another table" }).click();
  await page.route("**/page/examples/*", (route) => route.fulfill({ status: 404, body: "{}" }));
  await page.getByRole("button", { name: /Flu in/ }).click();
  await page.waitForSelector("#opening .notice");
  await accessible(page, "opening");
});

await scenario("counters by protocol", { url }, async (page) => {
  const found = await page.evaluate(async () => {
    const { outcome } = await import("./page/js/metrics.js");
    return [["grpc", 0], ["grpc", 5], ["grpc", 14], ["v1", 200], ["v1", 404], ["v1", 503]].map(([protocol, code]) => outcome(protocol, code));
  });
  equal(found, ["ok", "refused", "failed", "ok", "refused", "failed"], "outcomes");
});

await scenario("models", { url }, async (page) => {
  await page.getByRole("link", { name: "Models" }).click();
  await page.waitForSelector(".card");
  equal(await page.locator(".card h2").allInnerTexts(), ["builtin", "daily", "flu"], "cards");
  check((await text(page, ".card:nth-child(3)")).includes("104 steps"), "context");
  await accessible(page, "models");
  await picture(page, "page-models");
});

for (const [name, view] of [["dark", { colorScheme: "dark" }], ["phone", { viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }]]) {
  await scenario(name, { url, view }, async (page) => {
    await accessible(page, `${name}, start`);
    await page.getByRole("button", { name: /Flu in/ }).click();
    await settled(page);
    await page.selectOption("#model", "builtin");
    await settled(page);
    await cutoff(page, 30);
    await accessible(page, name);
    await picture(page, `page-${name}`);
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await background();
    await page.locator("#theme").click();
    if (name === "dark") check((await background()) !== before, "light is chosen");
    await page.locator("#theme").click();
    equal(await background(), "rgb(15, 18, 22)", "dark is chosen");
    await page.reload();
    equal(await background(), "rgb(15, 18, 22)", "the choice is kept");
    await page.getByRole("link", { name: "Models" }).click();
    await page.waitForSelector(".card");
    await accessible(page, `${name}, models`);
  });
}

const [key, line] = run(binary, ["serve", "--new-key", "reader"]).split("\n").filter((line) => line.startsWith("  ")).map((line) => line.trim());
fs.writeFileSync(inFolder("keys"), `${line}\n`);
const locked = await serve(["--api-key-file", "keys"]);

await scenario("a key is asked for", { url: locked, expected: 8 }, async (page) => {
  const dialog = page.locator("#key-dialog");
  await dialog.waitFor();
  await accessible(page, "key");
  await page.fill("#key-text", "wrong");
  // A further refusal, as of what is asked again and again, leaves what is typed.
  await page.evaluate(() => dispatchEvent(new CustomEvent("keywanted")));
  equal(await page.locator("#key-text").inputValue(), "wrong", "what is typed stays");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("key-problem").textContent.includes("not known"));
  await page.fill("#key-text", key);
  await dialog.getByRole("button", { name: "Use the key" }).click();
  await page.waitForSelector(".server.up");
  await page.getByRole("button", { name: /Flu in/ }).click();
  await settled(page);
  equal(await page.evaluate(() => [localStorage.getItem("ptsm-key"), document.cookie]), [null, ""], "the key is in no lasting place");
  fs.copyFileSync(new URL("us-flu.csv", examples), inFolder("us-flu.csv"));
  const curl = JSON.parse(run("bash", ["-c", await copied(page, "curl")], { PTSM_KEY: key }));
  equal(curl.forecasts[0].values.length, 13, "the command asks with the key");
  await page.locator("#key").click();
  await page.getByRole("button", { name: "Forget it" }).click();
  await dialog.waitFor();
  equal(await page.evaluate(() => sessionStorage.getItem("ptsm-key")), null, "forgotten");
});

await end();
