//! The contracts of other servers give the bits of the library.

use ptsm::data::Series;
use serde_json::{Value, json};

use crate::common::{Answer, csv, get, interval, post, shared, wanted};

/// The last rows of the table of `csv`, `[L][C]`, null for missing.
fn window(rows: usize) -> Vec<Vec<Option<f64>>> {
    let (set, _) = wanted(&csv(300));
    let series: &Series = &set.series[0];
    let first = series.num_rows() - rows;
    (first..series.num_rows()).map(|row| (0..2).map(|c| series.get(row, c)).collect()).collect()
}

fn infer(model: &str, body: Value) -> Answer {
    let path = format!("/v2/models/{model}/infer");
    post(&path, body.to_string()).media("application/json").to(shared())
}

fn input(windows: &[Vec<Vec<Option<f64>>>], datatype: &str) -> Value {
    let shape = [windows.len(), windows[0].len(), windows[0][0].len()];
    json!({"name": "past_values", "datatype": datatype, "shape": shape, "data": windows})
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    outputs.iter().find(|output| output["name"] == name).unwrap()
}

#[test]
fn tensors_give_the_bits_of_the_library() {
    let (_, forecasts) = wanted(&csv(300));
    let answer = infer("load", json!({"id": "7", "inputs": [input(&[window(48)], "FP64")]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!((&answer["id"], &answer["model_name"]), (&json!("7"), &json!("load")));
    let points = output(&answer, "prediction_outputs");
    assert_eq!(points["shape"], json!([1, 12, 2]));
    assert_eq!(numbers(&points["data"]), forecasts[0].values);
    let interval = interval(&forecasts[0]);
    assert_eq!(numbers(&output(&answer, "lower_0.8")["data"]), interval.lower);
    assert_eq!(numbers(&output(&answer, "upper_0.8")["data"]), interval.upper);
}

#[test]
fn five_windows_at_once_are_five_alone() {
    let windows: Vec<_> = (0..5).map(|k| window(100)[k * 7..k * 7 + 48].to_vec()).collect();
    let points = |windows: &[_]| {
        let answer = infer("load", json!({"inputs": [input(windows, "FP64")]})).json();
        numbers(&output(&answer, "prediction_outputs")["data"])
    };
    let alone: Vec<f64> = windows.iter().flat_map(|w| points(std::slice::from_ref(w))).collect();
    assert_eq!(points(&windows), alone);
}

#[test]
fn shorter_windows_are_padded_and_a_mask_is_a_gap() {
    let mut short = window(48);
    short.drain(..20);
    let text = csv(300);
    let rows: Vec<&str> = text.lines().collect();
    let short_csv = [&rows[..1], &rows[rows.len() - 28..]].concat().join("\n");
    let (_, forecasts) = wanted(&short_csv);
    let answer = infer("load", json!({"inputs": [input(&[short], "FP64")]})).json();
    assert_eq!(numbers(&output(&answer, "prediction_outputs")["data"]), forecasts[0].values);
    let full = window(48);
    let with = |change: &dyn Fn(usize) -> Option<f64>| {
        let mut changed = full.clone();
        for (row, cells) in changed.iter_mut().enumerate() {
            if let Some(x) = change(row) {
                cells[0] = if x.is_nan() { None } else { Some(x) };
            }
        }
        changed
    };
    let gap = with(&|row| (row % 5 == 0).then_some(f64::NAN));
    let zero = with(&|row| (row % 5 == 0).then_some(0.0));
    let mask: Vec<Vec<f64>> = (0..48)
        .map(|row| {
            vec![if row % 5 == 0 { 0.0 } else { 1.0 }, f64::from(u8::from(full[row][1].is_some()))]
        })
        .collect();
    let by_null = infer("load", json!({"inputs": [input(&[gap], "FP64")]})).json();
    let mask =
        json!({"name": "observed_mask", "datatype": "FP32", "shape": [1, 48, 2], "data": mask});
    let by_mask = infer("load", json!({"inputs": [input(&[zero], "FP64"), mask]})).json();
    assert_eq!(by_null["outputs"], by_mask["outputs"]);
}

#[test]
fn binary_tensors_have_the_bits_of_json() {
    let values: Vec<f64> = window(48).concat().into_iter().map(|x| x.unwrap_or(f64::NAN)).collect();
    let blob: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let head = json!({
        "parameters": {"binary_data_output": true},
        "inputs": [{"name": "past_values", "datatype": "FP64", "shape": [1, 48, 2],
                    "parameters": {"binary_data_size": blob.len()}}],
        "outputs": [{"name": "prediction_outputs", "parameters": {"binary_data": true}}],
    })
    .to_string();
    let answer = post("/v2/models/load/versions/1/infer", [head.as_bytes(), &blob].concat())
        .header("Inference-Header-Content-Length", head.len())
        .to(shared());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let length: usize = answer.header("inference-header-content-length").unwrap().parse().unwrap();
    let bytes = &answer.body[length..];
    let points: Vec<f64> =
        bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(points, wanted(&csv(300)).1[0].values);
}

#[test]
fn the_model_inside_the_library_takes_tensors() {
    let body = json!({
        "inputs": [input(&[window(96), window(96)], "FP32")],
        "parameters": {"prediction_length": 7, "season": 24, "levels": [0.8]},
    });
    let answer = infer("builtin", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let points = output(&answer, "prediction_outputs");
    assert_eq!(points["shape"], json!([2, 7, 2]));
    let all = numbers(&points["data"]);
    assert_eq!(all[..14], all[14..]);
    assert!(output(&answer, "upper_0.8")["data"].is_array());
}

#[test]
fn tensors_that_do_not_fit_are_refused_with_400() {
    let of = |shape: Value, data: Value| json!({"inputs": [{"name": "past_values", "datatype": "FP32", "shape": shape, "data": data}]});
    for (body, says) in [
        (of(json!([1, 2]), json!([1, 2])), "[windows, steps, channels]"),
        (of(json!([1, 2, 3]), json!([1, 2, 3, 4, 5, 6])), "3 channels"),
        (of(json!([1, -1, 2]), json!([1, 2])), "are not [1, -1, 2]"),
        (of(json!([4611686018427387904i64, 4, 2]), json!([1, 2])), "are not"),
        (of(json!([9223372036854775807i64, 9223372036854775807i64, 2]), json!([])), "are not"),
        (of(json!([0, 2, 2]), json!([])), "no numbers"),
        (of(json!([1, 1, 2]), json!([1e308, 1])), "no number of FP32"),
        (of(json!([1, 2, 2]), json!([null, null, null, null])), "has a value"),
        (json!({"inputs": []}), "past_values is missing"),
        (
            json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}),
            "no input x",
        ),
        (
            json!({"inputs": [{"name": "past_values", "datatype": "INT8", "shape": [1], "data": [1]}]}),
            "INT8",
        ),
        (json!({"inputs": [], "parameters": {"standardised": true}}), "is not known"),
        (json!({"inputs": [], "parameters": {"binary_data_output": 1}}), "wanted true or false"),
        (json!({"inputs": [], "model_name": "moves"}), "the path says load"),
        (json!({"inputs": [], "model": "load"}), "unknown field"),
        (
            json!({"inputs": [{"name": "past_values", "datatype": "FP32", "shape": [1], "data": [1],
                               "parameters": {"shared_memory_region": "x"}}]}),
            "shared_memory_region is not supported",
        ),
        (
            json!({"inputs": [], "outputs": [{"name": "x", "parameters": {"classification": 1}}]}),
            "classification is not supported",
        ),
        (
            json!({"inputs": [], "outputs": [{"name": "x", "parameters": {"binary_data": "no"}}]}),
            "wanted true or false",
        ),
    ] {
        let answer = infer("load", body.clone());
        assert_eq!(answer.status, 400, "{body} {}", answer.text());
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{body}: {error}");
    }
    assert_eq!(infer("none", json!({"inputs": []})).status, 404);
    assert_eq!(post("/v2/models/load/versions/2/infer", "{}").to(shared()).status, 404);
}

#[test]
fn health_and_metadata_are_json() {
    assert_eq!(get("/v2/health/live").to(shared()).json(), json!({"live": true}));
    assert_eq!(get("/v2/health/ready").to(shared()).json(), json!({"ready": true}));
    let ready = get("/v2/models/load/ready").to(shared()).json();
    assert_eq!(ready, json!({"name": "load", "ready": true}));
    assert_eq!(get("/v2").to(shared()).json()["name"], "ptsm");
    let model = get("/v2/models/load").to(shared()).json();
    assert_eq!(model["inputs"][0]["shape"], json!([-1, -1, 2]));
    assert_eq!(model["outputs"][0]["shape"], json!([-1, 12, 2]));
    let index = post("/v2/repository/index", "{}").to(shared()).json();
    assert_eq!(index[1]["state"], "READY");
    infer("load", json!({"inputs": [input(&[window(48)], "FP32")]}));
    let stats = get("/v2/models/load/stats").to(shared()).json();
    assert!(stats["model_stats"][0]["inference_count"].as_u64().unwrap() >= 1);
}

#[test]
fn kserves_series_give_the_bits_of_the_library() {
    let series = json!({
        "type": "multivariate_time_series", "name": "s", "series": window(48), "frequency": "H",
        "start_timestamp": "2024-01-01T00:00:00Z",
    });
    let body = |options: Value, series: &Value| {
        let body = json!({"model": "load", "inputs": [series], "options": options, "more": 1});
        post("/v1/timeseries/forecast", body.to_string()).to(shared())
    };
    let answer = body(json!({"horizon": 12, "quantiles": [0.1, 0.5, 0.9]}), &series);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let content = &answer["outputs"][0]["content"][0];
    let (_, forecasts) = wanted(&csv(300));
    let flat =
        |rows: &Value| -> Vec<f64> { rows.as_array().unwrap().iter().flat_map(numbers).collect() };
    assert_eq!(flat(&content["mean_forecast"]), forecasts[0].values);
    assert_eq!(flat(&content["quantiles"]["0.1"]), interval(&forecasts[0]).lower);
    assert_eq!(content["start_timestamp"], "2024-01-03T00:00:00Z");
    assert_eq!(answer["usage"]["prompt_tokens"], 96);
    for (options, change, says) in [
        (json!({"horizon": 12, "quantiles": [0.33]}), json!({}), "levels"),
        (json!({"horizon": 12}), json!({"frequency": "D"}), "model's step"),
        (json!({"horizon": 0}), json!({}), "at least 1"),
        (json!({"horizon": 12}), json!({"series": [1, 2]}), "list of lists"),
        (
            json!({"horizon": 12}),
            json!({"start_timestamp": "today"}),
            "inputs[0].start_timestamp: ",
        ),
    ] {
        let mut series = series.clone();
        let own = series.as_object_mut().unwrap();
        own.extend(change.as_object().unwrap().clone());
        let answer = body(options, &series);
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
        assert_eq!((answer.status, &error["code"]), (422, &json!("422")));
    }
    let univariate: Vec<f64> = (0..60).map(|i| f64::from(i % 12)).collect();
    let input = json!({"type": "univariate_time_series", "name": "u", "series": univariate, "frequency": "M"});
    let ask = json!({"model": "builtin", "inputs": [input], "options": {"horizon": 6}});
    let answer = post("/v1/timeseries/forecast", ask.to_string()).to(shared()).json();
    assert_eq!(numbers(&answer["outputs"][0]["content"][0]["mean_forecast"]).len(), 6);
    assert_eq!(get("/v1/timeseries/models").to(shared()).json(), json!(["builtin", "load"]));
}

#[test]
fn kserves_series_are_computed_together_with_the_bits_of_each_alone() {
    let server = crate::common::server_with(crate::common::options());
    let ask = |model: &str, inputs: &[Value]| {
        let body = json!({"model": model, "inputs": inputs, "options": {"horizon": 5}});
        let answer = post("/v1/timeseries/forecast", body.to_string()).to(server.address());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["outputs"][0]["content"].as_array().unwrap().clone()
    };
    let runs = || {
        let stats = get("/v2/models/load/stats").to(server.address()).json();
        stats["model_stats"][0]["execution_count"].as_u64().unwrap()
    };
    let many = |rows: usize, frequency: &str| {
        json!({"type": "multivariate_time_series", "name": format!("m{rows}"),
               "series": window(rows), "frequency": frequency})
    };
    let one = |rows: usize, frequency: &str| {
        let series: Vec<f64> = (0..rows).map(|i| (i * i % 17) as f64).collect();
        json!({"type": "univariate_time_series", "name": format!("u{rows}"), "series": series,
               "frequency": frequency})
    };
    let trained: Vec<Value> = (40..60).map(|rows| many(rows, "H")).collect();
    let together = ask("load", &trained);
    assert_eq!(runs(), 1);
    let any = [one(60, "D"), many(50, "H"), one(30, "D"), one(70, "H"), many(44, "H"), one(9, "M")];
    for (model, inputs, together) in
        [("load", &trained[..], together), ("builtin", &any, ask("builtin", &any))]
    {
        assert_eq!(together.len(), inputs.len());
        for (input, content) in inputs.iter().zip(&together) {
            assert_eq!(content["name"], input["name"]);
            assert_eq!(ask(model, std::slice::from_ref(input))[0], *content);
        }
    }
    server.stop(std::time::Duration::ZERO).unwrap();
}

/// What is changed of a request.
type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn granites_contract_gives_the_bits_of_the_library() {
    let text = csv(300);
    let mut columns = json!({"time": [], "load": [], "heat": []});
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        for (name, cell) in ["time", "load", "heat"].iter().zip(cells) {
            let value = match cell.parse::<f64>() {
                Ok(x) => json!(x),
                Err(_) if cell.is_empty() => Value::Null,
                Err(_) => json!(cell),
            };
            columns[name].as_array_mut().unwrap().push(value);
        }
    }
    let ask = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({
            "model_id": "load", "schema": {"timestamp_column": "time", "freq": "1h"},
            "parameters": {"prediction_length": 12, "prediction_quantiles": [0.1], "inference_batch_size": 64},
            "data": columns, "future_data": {}, "quantile_calibration_data": {},
        });
        change(&mut body);
        post("/v1/inference/forecasting", body.to_string()).to(shared())
    };
    let answer = ask(&|_| {});
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let results = answer["results"][0].as_object().unwrap();
    let names: Vec<&String> = results.keys().collect();
    assert_eq!(names, ["time", "load", "heat", "load_q0.1", "heat_q0.1"]);
    let (_, forecasts) = wanted(&text);
    let load: Vec<f64> = forecasts[0].values.iter().step_by(2).copied().collect();
    assert_eq!(numbers(&results["load"]), load);
    assert_eq!(
        (&answer["input_data_points"], &answer["output_data_points"]),
        (&json!(600), &json!(24))
    );
    let refused: [(Change<'_>, u16, &str); 7] = [
        (&|b| b["parameters"]["temperature"] = json!(1), 422, "temperature"),
        (&|b| b["schema"]["unknown"] = json!(1), 422, "unknown"),
        (&|b| b["parameters"]["prediction_length"] = json!(13), 400, "more than the model's 12"),
        (&|b| b["model_id"] = json!("../../etc"), 404, "no model"),
        (&|b| b["schema"]["control_columns"] = json!(["x"]), 400, "takes none"),
        (&|b| b["schema"]["freq"] = json!("fortnight"), 400, "freq"),
        (
            &|b| {
                for (_, cells) in b["data"].as_object_mut().unwrap() {
                    cells.as_array_mut().unwrap().truncate(30);
                }
            },
            400,
            "Received 30 time points",
        ),
    ];
    for (change, status, says) in refused {
        let answer = ask(change);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.json()["detail"].to_string().contains(says), "{}", answer.text());
    }
    let spec = get("/v1/inference/modelspec?model_id=load").to(shared()).json();
    assert_eq!(spec["minimum_context_length"], 48);
    assert_eq!(get("/healthcheck").to(shared()).json()["message"], "Server is healthy!");
}
