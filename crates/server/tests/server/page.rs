//! The page: its files with their headers, the rows that it draws, keys, and a server without it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ptsm::data::{ReadOptions, Repair, Roles, SeriesSet, Table};
use ptsm::{FitOptions, Forecaster};
use ptsm_server::{Keys, ModelSource, Options, Registry, Server, new_key};
use serde_json::json;

use crate::common::{Answer, csv, get, options, post, server_with, shared};

/// What is between `before` and the next quotation mark, as often as it occurs.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|part| part.split('"').next()).collect()
}

/// The files that the page names, and those that its scripts name.
fn files(address: SocketAddr) -> Vec<String> {
    let index = get("/").to(address).text();
    let names = [quoted(&index, "href=\"page/"), quoted(&index, "src=\"page/")].concat();
    let mut found: Vec<String> = names.iter().map(|name| format!("/page/{name}")).collect();
    let mut at = 0;
    while at < found.len() {
        if found[at].starts_with("/page/js/") {
            let script = get(&found[at]).to(address).text();
            for name in quoted(&script, "from \"./") {
                let path = format!("/page/js/{name}");
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        at += 1;
    }
    found
}

#[test]
fn every_file_that_the_page_names_is_served_with_its_headers() {
    let found = files(shared());
    assert!(found.len() > 20, "{found:?}");
    for path in found.iter().map(String::as_str).chain(["/", "/page/examples/us-flu.csv"]) {
        let answer = get(path).to(shared());
        assert_eq!(answer.status, 200, "{path}");
        let media = match path.rsplit_once('.').map_or("", |(_, end)| end) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "csv" => "text/csv; charset=utf-8",
            "txt" => "text/plain; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(media), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{path}");
        assert_eq!(answer.header("etag").unwrap().len(), 66, "{path}");
    }
    for path in ["/page/", "/page/js/../app.css", "/page/index.html", "/page/none.js"] {
        assert_eq!(get(path).to(shared()).status, 404, "{path}");
    }
    // Other methods are refused as those of any route.
    for path in ["/", "/page/app.css"] {
        let answer = post(path, "x").to(shared());
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")), "{path}");
        assert_eq!(answer.json()["error"]["code"], "R002", "{path}");
    }
}

#[test]
fn nothing_of_the_page_is_inline_or_from_elsewhere() {
    let index = get("/").to(shared()).text();
    assert_eq!(index.matches("<script").count(), index.matches("<script src=").count() + 1);
    assert!(index.contains("<script type=\"module\" src=\"page/js/main.js\"></script>"));
    for text in ["<style", " style=", " onclick=", "javascript:", "http://", "https://"] {
        assert!(!index.contains(text), "{text}");
    }
    for path in files(shared()).iter().filter(|path| path.starts_with("/page/js/")) {
        let script = get(path).to(shared()).text();
        for text in ["innerHTML", "eval(", "https://", "document.write"] {
            assert!(!script.contains(text), "{path}: {text}");
        }
    }
}

#[test]
fn a_server_without_the_page_has_none_of_its_routes() {
    let server = server_with(Options { page: false, ..options() });
    for path in ["/", "/page/app.css", "/page/js/main.js"] {
        let answer = get(path).to(server.address());
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (404, Some("R001")));
    }
    let rows = post("/page/rows", csv(60)).media("text/csv").to(server.address());
    assert_eq!(rows.status, 404);
    assert_eq!(get("/v1/models").to(server.address()).status, 200);
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn files_need_no_key_and_rows_need_one() {
    let folder = tempfile::tempdir().unwrap();
    let (key, line) = new_key("all").unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, line).unwrap();
    let server = server_with(Options { keys: Some(Keys::read(&path).unwrap()), ..options() });
    for path in ["/", "/page/app.css", "/page/examples/us-flu.csv"] {
        assert_eq!(get(path).to(server.address()).status, 200, "{path}");
    }
    let rows = || post("/page/rows", csv(60)).media("text/csv");
    assert_eq!(rows().to(server.address()).status, 401);
    let key = format!("Bearer {key}");
    assert_eq!(rows().header("Authorization", key).to(server.address()).status, 200);
    server.stop(Duration::ZERO).unwrap();
}

fn rows(query: &str, text: impl Into<Vec<u8>>) -> Answer {
    post(&format!("/page/rows{query}"), text).media("text/csv").to(shared())
}

#[test]
fn rows_are_those_that_are_read_with_the_times_after_them() {
    let answer = rows("?steps=2", csv(744)).json();
    assert_eq!(answer["channels"], json!(["load", "heat"]));
    assert_eq!((&answer["frequency"], &answer["season"]), (&json!("1h"), &json!(24)));
    assert_eq!((&answer["ids"], &answer["is_index"]), (&json!([""]), &json!(false)));
    let series = &answer["series"];
    assert_eq!((&series["rows"], &series["first_row"]), (&json!(744), &json!(0)));
    let first = 1_704_067_200_000_i64; // 2024-01-01 00:00.
    let at = series["at"].as_array().unwrap();
    assert_eq!((at.len(), &at[0], &at[745]), (746, &json!(first), &json!(first + 745 * 3_600_000)));
    assert_eq!(series["times"][745], "2024-02-01 01:00:00");
    // The same cells as in the table; those that are empty are null.
    for (row, line) in csv(744).lines().skip(1).enumerate() {
        let cells = line.split(',').skip(1).map(|cell| cell.parse::<f64>().ok());
        let read = (0..2).map(|channel| series["values"][channel][row].as_f64());
        assert!(cells.eq(read), "row {row}");
    }
}

#[test]
fn one_series_of_a_long_table_is_answered() {
    let text = "shop,day,sold\na,2024-01-01,1\na,2024-01-02,2\nb,2024-01-01,3\nb,2024-01-03,5\n";
    let answer = rows("?series=1&id=shop", text).json();
    assert_eq!(answer["ids"], json!(["a", "b"]));
    let series = &answer["series"];
    assert_eq!((&series["id"], &series["values"]), (&json!("b"), &json!([[3.0, null, 5.0]])));
    let body = json!({"data": [{"x": 1.5}, {"x": null}, {"x": 2.5}], "steps": 1});
    let answer = post("/page/rows", body.to_string()).media("application/json").to(shared());
    let series = &answer.json()["series"];
    assert_eq!((&series["at"], &series["times"]), (&json!([0, 1, 2, 3]), &json!(null)));
    assert_eq!(series["values"], json!([[1.5, null, 2.5]]));
}

#[test]
fn what_no_rows_can_be_answered_for_is_refused() {
    for (query, status, word) in [
        ("?series=1", 422, "there are 1"),
        ("?model=absent", 404, "no model of this name"),
        ("?model=moves", 422, "labels cases"),
        ("?model=load&season=7", 422, "season: "),
        ("?levels=0.8", 422, "levels: "),
        ("?prediction_length=3", 422, "prediction_length: "),
        ("?label=load", 422, "label: "),
        ("?steps=100000", 413, "steps: 100000"),
        ("?steps=-1", 400, "steps=-1"),
        ("?horizon=3", 400, "horizon"),
        ("?targets=none", 422, "none"),
    ] {
        let answer = rows(query, csv(60));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().contains(word), "{query}: {}", answer.text());
    }
}

#[test]
fn options_that_no_rows_are_read_with_are_refused() {
    let body = json!({"data": [{"x": 1.5}, {"x": 2.5}]}).to_string();
    let asked =
        |path: &str, body: &str| post(path, body.to_owned()).media("application/json").to(shared());
    assert_eq!(asked("/page/rows", &body).status, 200);
    let answer = asked("/page/rows?steps=1", &body);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("query: "), "{}", answer.text());
    let body = json!({"data": [{"x": 1.5}], "schema": {"delimiter": ";"}}).to_string();
    let answer = asked("/page/rows", &body);
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("delimiter: "), "{}", answer.text());
}

#[test]
fn times_ascend_where_the_clock_goes_back() {
    let hours =
        ["00:00:00+02:00", "01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"];
    let rows_of = hours.iter().enumerate().map(|(at, hour)| format!("2024-10-27T{hour},{at}\n"));
    let text = "time,x\n".to_owned() + &rows_of.collect::<String>();
    let answer = rows("?steps=2", text);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let at = answer["series"]["at"].as_array().unwrap();
    let at: Vec<i64> = at.iter().map(|time| time.as_i64().unwrap()).collect();
    assert_eq!(at.len(), 7);
    assert!(at.is_sorted_by(|a, b| a < b), "{at:?}");
}

#[test]
fn a_model_reads_rows_as_for_its_forecasts() {
    // Two rows of an hour each half of it: the model resamples them as it was trained.
    let halves: String = csv(600)
        .lines()
        .enumerate()
        .map(|(row, line)| match row {
            0 => format!("{line}\n"),
            _ => format!("{line}\n{}\n", line.replace(":00:00,", ":30:00,")),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hourly");
    let fit = FitOptions::steps(6).context(24).epochs(1).save_to(&dir);
    let repair = Repair { resample: Some("1h:mean".parse().unwrap()), ..Repair::default() };
    let table = Table::from_csv(halves.as_bytes(), "data", &ReadOptions::default()).unwrap();
    let set = SeriesSet::from_table(&table, &Roles::default(), &repair).unwrap();
    Forecaster::fit(&set, &fit).unwrap();
    let sources = [ModelSource::new("hourly", &dir).unwrap()];
    let registry = Arc::new(Registry::open(&sources, "cpu").unwrap());
    let server = Server::start(registry, options()).unwrap();
    let ask = |path: &str| {
        let asked =
            post(path, halves.clone()).media("text/csv").header("Accept", "application/json");
        let answer = asked.to(server.address());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    let read = ask("/page/rows?model=hourly&steps=6");
    assert_eq!((&read["series"]["rows"], &read["frequency"]), (&json!(600), &json!("1h")));
    assert_eq!((&read["usual_steps"], &read["season"]), (&json!(6), &json!(24)));
    assert_eq!(ask("/page/rows")["series"]["rows"], 1200);
    for back in [0, 30] {
        let answer = ask(&format!("/v1/forecast?model=hourly&rows_before_end={back}"));
        let forecast = &answer["forecasts"][0];
        let first = forecast["first_row"].as_u64().unwrap() as usize;
        let times = read["series"]["times"].as_array().unwrap();
        assert_eq!(forecast["timestamps"].as_array().unwrap()[..], times[first..first + 6]);
    }
    server.stop(Duration::ZERO).unwrap();
}
