//! The native routes: the bits of the library in every form, and the failures.

use ptsm::data::{ReadOptions, Table, TableFormat};
use ptsm::forecast::ForecastJson;
use serde_json::{Value, json};

use crate::common::{cases, csv, forecaster, get, post, shared, wanted, wanted_csv};

const ARROW: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";

fn forecast_csv(query: &str, body: String) -> crate::common::Answer {
    let path = format!("/v1/forecast?model=load{query}");
    post(&path, body).media("text/csv").to(shared())
}

#[test]
fn csv_in_and_out_has_the_bytes_of_predict() {
    for rows in [20, 48, 300] {
        let answer = forecast_csv("", csv(rows));
        assert_eq!((answer.status, answer.text()), (200, wanted_csv(&csv(rows))));
        assert_eq!(answer.header("content-type"), Some("text/csv"));
        assert!(answer.header("server-timing").unwrap().contains("compute;dur="));
        assert!(!answer.header("x-request-id").unwrap().is_empty());
    }
}

#[test]
fn every_form_of_the_rows_gives_one_forecast() {
    let text = csv(200);
    let table = Table::from_csv(text.as_bytes(), "data", &ReadOptions::default()).unwrap();
    for (media, format) in [(ARROW, TableFormat::ArrowStream), (PARQUET, TableFormat::Parquet)] {
        let body = table.to_bytes(format).unwrap();
        let answer = post("/v1/forecast?model=load", body).media(media).accept("text/csv");
        assert_eq!(answer.to(shared()).text(), wanted_csv(&text), "{media}");
        // The answer in this form holds the same table.
        let answer = post("/v1/forecast?model=load", text.clone())
            .media("text/csv")
            .accept(media)
            .to(shared());
        assert_eq!(answer.header("content-type"), Some(media));
        let back = Table::from_bytes(&answer.body, "answer", &ReadOptions::default()).unwrap();
        let csv = back.to_bytes(TableFormat::Csv).unwrap();
        let columns = |text: &str| text.lines().next().unwrap().to_owned();
        assert_eq!(columns(&String::from_utf8(csv).unwrap()), columns(&wanted_csv(&text)));
    }
    let rows: Value = serde_json::from_slice(&table.to_bytes(TableFormat::Json).unwrap()).unwrap();
    let names = ["time", "load", "heat"];
    let cell = |row: &Value, name: &str| row.get(name).cloned().unwrap_or(Value::Null);
    let all = rows.as_array().unwrap();
    let column = |name: &str| all.iter().map(|row| cell(row, name)).collect::<Value>();
    let columns = json!({"time": column("time"), "load": column("load"), "heat": column("heat")});
    let split = json!({
        "columns": names,
        "data": all.iter().map(|r| names.map(|n| cell(r, n)).to_vec()).collect::<Vec<_>>(),
    });
    for data in [rows, columns, split] {
        let body = json!({"model": "load", "data": data}).to_string();
        let answer = post("/v1/forecast", body).media("application/json").accept("text/csv");
        assert_eq!(answer.to(shared()).text(), wanted_csv(&text));
    }
}

#[test]
fn json_is_that_of_predict() {
    let text = csv(100);
    let answer = post("/v1/forecast?model=load", text.clone()).media("text/csv");
    let answer = answer.accept("application/json").to(shared()).json();
    let (set, forecasts) = wanted(&text);
    let own: Vec<ForecastJson> = forecasts.iter().map(|f| ForecastJson::new(&set, f)).collect();
    assert_eq!(answer["forecasts"], serde_json::to_value(own).unwrap());
    assert_eq!(answer["model"], "load");
    assert_eq!(answer["skipped"], json!([]));
}

#[test]
fn steps_levels_and_names_are_asked_for() {
    let lines = |query: &str| {
        let answer = forecast_csv(query, csv(100));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    assert_eq!(lines("&prediction_length=5").lines().count(), 6);
    assert_eq!(lines("&prediction_length=30").lines().count(), 31);
    assert!(lines("&levels=0.8").contains("load_q0.1"));
    assert!(lines("&interval_names=nixtla").contains("load-lo-80"));
    let before = lines("&rows_before_end=10");
    assert_eq!(before, wanted_before(10));
}

fn wanted_before(rows: usize) -> String {
    let mut forecaster = ptsm::Forecaster::from_dir(&forecaster(), &ptsm::Cpu::default()).unwrap();
    let (set, _) = wanted(&csv(100));
    let forecasts = forecaster.predict(&set, rows).unwrap();
    let table = ptsm::forecast::forecast_table(&set, &forecasts).unwrap();
    String::from_utf8(table.to_bytes(TableFormat::Csv).unwrap()).unwrap()
}

#[test]
fn the_model_inside_the_library_forecasts_any_series() {
    let text = csv(200).replace("load", "wind");
    let answer = post("/v1/forecast?model=builtin&prediction_length=24", text.clone());
    let answer = answer.media("text/csv").to(shared());
    let table = Table::from_csv(text.as_bytes(), "data", &ReadOptions::default()).unwrap();
    let source = ptsm::spec::Source::of_table(table);
    let options = ptsm::forecast::AnySeriesOptions {
        data: &ptsm::spec::DataSpec::default(),
        steps: Some(24),
        levels: None,
        season_from: None,
    };
    let network = ptsm::zero_shot::builtin_model().unwrap();
    let mut opened =
        ptsm::forecast::AnySeries::open(network, &source, &options, &ptsm::Cpu::default()).unwrap();
    let forecasts = opened.forecaster.predict(&opened.set, 0).unwrap();
    let table = ptsm::forecast::forecast_table(&opened.set, &forecasts).unwrap();
    let wanted = String::from_utf8(table.to_bytes(TableFormat::Csv).unwrap()).unwrap();
    assert_eq!((answer.status, answer.text()), (200, wanted));
}

#[test]
fn cases_are_labelled() {
    let answer = post("/v1/classify?model=moves", cases(9, false)).media("text/csv").to(shared());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    assert_eq!(text.lines().count(), 10);
    assert!(text.starts_with("case,predicted,"), "{text}");
    // Many at once have the labels that each has alone.
    let one: String = cases(9, false).lines().take(17).map(|line| format!("{line}\n")).collect();
    let alone = post("/v1/classify?model=moves", one).media("text/csv").to(shared()).text();
    assert_eq!(alone.lines().nth(1), text.lines().nth(1));
    let answer = post("/v1/classify?model=load", csv(100)).media("text/csv").to(shared());
    assert_eq!(answer.status, 422);
    let answer = post("/v1/forecast?model=moves", cases(2, false)).media("text/csv").to(shared());
    assert_eq!(answer.status, 422);
}

#[test]
fn a_table_is_inspected_and_its_schema_can_be_used() {
    let answer = post("/v1/inspect", csv(100)).media("text/csv").to(shared()).json();
    assert_eq!(answer["channels"], json!(["load", "heat"]));
    assert_eq!(answer["frequency"], "1h");
    assert_eq!(answer["schema"]["timestamp"], "time");
    assert_eq!(answer["series"][0]["rows"], 100);
}

#[test]
fn models_describe_themselves() {
    let models = get("/v1/models").to(shared()).json();
    let names = models["models"].as_array().unwrap().iter().map(|m| m["name"].clone());
    assert_eq!(names.collect::<Value>(), json!(["builtin", "load", "moves"]));
    let model = get("/v1/models/load").to(shared()).json();
    assert_eq!(model["channels"], json!(["load", "heat"]));
    assert!(model["interval_levels"].as_array().unwrap().contains(&json!(0.8)), "{model}");
    assert_eq!(get("/v1/models/none").to(shared()).status, 404);
}

#[test]
fn failures_have_a_code_a_sentence_and_a_status() {
    let json = "application/json";
    for (path, media, body, status, code, says) in [
        ("/v1/forecast?model=none", "text/csv", csv(50), 404, "M001", "there are builtin, load"),
        ("/v1/forecast", "text/csv", csv(50), 404, "M001", "name a model"),
        ("/v1/forecast?model=load", "text/html", csv(50), 415, "D004", "Content-Type"),
        ("/v1/forecast?model=load", PARQUET, csv(50), 415, "D004", "does not begin as"),
        ("/v1/forecast?model=load", "text/csv", String::new(), 422, "D002", "no rows"),
        ("/v1/forecast?model=load", "text/csv", "time,x\n1,2\n".into(), 422, "D002", "\"load\""),
        ("/v1/forecast?model=load&levels=0.5", "text/csv", csv(50), 422, "D002", "0.8"),
        ("/v1/forecast?model=load&levels=7", "text/csv", csv(50), 422, "D002", "between 0 and 1"),
        ("/v1/forecast?model=load&horizon=7", "text/csv", csv(50), 400, "D001", "horizon"),
        (
            "/v1/forecast?model=load&prediction_length=0",
            "text/csv",
            csv(50),
            422,
            "D002",
            "least 1",
        ),
        ("/v1/forecast", json, "{".into(), 400, "D001", "EOF"),
        (
            "/v1/forecast",
            json,
            "{\"data\": [], \"holidays\": \"x\"}".into(),
            422,
            "D002",
            "holidays",
        ),
        ("/nothing", json, String::new(), 404, "R001", "openapi"),
    ] {
        let answer = post(path, body).media(media).to(shared());
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["code"]), (status, &Value::from(code)), "{path} {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{path}: {error}");
    }
    let answer = post("/v1/forecast?model=load", csv(50)).media("text/csv").accept("text/html");
    assert_eq!(answer.to(shared()).status, 406);
    let packed = post("/v1/forecast?model=load", csv(50)).media("text/csv");
    assert_eq!(packed.header("Content-Encoding", "gzip").to(shared()).status, 415);
    for path in ["/v1/forecast", "/v2/models/load/infer", "/v1/inference/forecasting"] {
        let answer = get(path).to(shared());
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{path}");
        assert!(answer.text().contains("Allow names them"), "{path}: {}", answer.text());
    }
    let answer = post("/v1/models", "").to(shared());
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")));
}

#[test]
fn the_description_of_the_routes_names_them_all() {
    let document = get("/openapi.json").to(shared()).json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in ["/v1/forecast", "/v2/models/{model}/infer", "/v1/timeseries/forecast"] {
        assert!(paths.contains_key(path), "{path}");
    }
}

#[test]
fn what_is_given_and_not_used_is_refused() {
    for (path, body, name) in [
        ("/v1/inspect?model=load", csv(50), "model"),
        ("/v1/inspect?levels=0.8", csv(50), "levels"),
        ("/v1/inspect?season=24", csv(50), "season"),
        ("/v1/classify?model=moves&sort=true", cases(2, false), "sort"),
        ("/v1/classify?model=moves&frequency=1h", cases(2, false), "frequency"),
        ("/v1/classify?model=moves&levels=0.8", cases(2, false), "levels"),
        ("/v1/forecast?model=load&label=x", csv(50), "label"),
    ] {
        let answer = post(path, body).media("text/csv").to(shared());
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{name}: is for")), "{path}: {message}");
    }
    let body = |more: Value| {
        let mut body = json!({"data": {"x": [1, 2, 3]}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    for (path, more) in [
        ("/v1/inspect", json!({"future": {"x": [4]}})),
        ("/v1/inspect", json!({"schema": {"delimiter": ";"}})),
        ("/v1/forecast", json!({"model": "builtin", "interval_names": "nixtla"})),
    ] {
        assert_eq!(post(path, body(more.clone())).to(shared()).status, 422, "{path} {more}");
    }
    assert_eq!(post("/v1/inspect", body(json!({}))).to(shared()).status, 200);
    for path in ["/v1/models?x=1", "/v2?x=1", "/openapi.json?x=1", "/v2/models/load?x=1"] {
        assert_eq!(get(path).to(shared()).status, 400, "{path}");
    }
    assert_eq!(post("/v2/models/load/infer?levels=0.8", "{}").to(shared()).status, 400);
    assert_eq!(get("/nothing?x=1").to(shared()).status, 404);
    assert_eq!(get("/v2/health/ready?x=1").to(shared()).status, 200);
}
