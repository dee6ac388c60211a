//! Keys, hosts, names of requests, counters, and models that are swapped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ptsm_server::{Keys, ModelSource, Options, Registry, Server, new_key};

use crate::common::{csv, forecaster, get, limits, options, post, server_with, shared, wanted_csv};

#[test]
fn keys_are_asked_for_and_may_be_for_some_models_only() {
    let folder = tempfile::tempdir().unwrap();
    let (all, line) = new_key("all").unwrap();
    let (one, second) = new_key("one").unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, format!("{line}\n{second}:builtin\n")).unwrap();
    let keys = Some(Keys::read(&path).unwrap());
    let server = server_with(Options { keys, allow_reload: true, ..options() });
    let call = |name: &'static str, value: String| {
        let call = post("/v1/forecast?model=load", csv(60)).media("text/csv");
        let answer = call.header(name, value).to(server.address());
        (answer.status, answer.text())
    };
    assert_eq!(call("Authorization", format!("Bearer {all}")).0, 200);
    assert_eq!(call("x-api-key", all.clone()).0, 200);
    let (status, text) = call("Authorization", format!("Bearer {one}"));
    assert!(status == 403 && text.contains("A002"), "{text}");
    for (name, value) in [("Authorization", format!("Basic {all}")), ("x-api-key", line.clone())] {
        let (status, text) = call(name, value);
        assert!(status == 401 && text.contains("A001"), "{text}");
    }
    for path in ["/v2/health/live", "/v2/health/ready", "/metrics"] {
        assert_eq!(get(path).to(server.address()).status, 200, "{path}");
    }
    let get = |path| get(path).header("x-api-key", &one).to(server.address());
    assert_eq!(get("/v1/timeseries/models").json(), serde_json::json!(["builtin"]));
    for path in ["/v1/models", "/v2/models/stats"] {
        let text = get(path).text();
        let names = |name: &str| text.contains(&format!("\"name\":\"{name}\""));
        assert!(names("builtin") && !names("load"), "{path}: {text}");
    }
    for path in ["/v1/models/load", "/v1/models/none", "/v2/models/load", "/v2/models/none/ready"] {
        assert_eq!(get(path).status, 403, "{path}");
    }
    let post =
        |path: &str, key: &str| post(path, "{}").header("x-api-key", key).to(server.address());
    let index = post("/v2/repository/index", &one).text();
    assert!(index.contains("builtin") && !index.contains("load"), "{index}");
    for call in ["unload", "load"] {
        let path = format!("/v2/repository/models/load/{call}");
        assert_eq!(post(&path, &one).status, 403, "{path}");
        let path = format!("/v2/repository/models/builtin/{call}");
        assert_eq!(post(&path, &one).status, 200, "{path}");
        assert_eq!(post("/v2/repository/models/none/load", &all).status, 404);
    }
    for path in ["/v1/models", "/v2", "/openapi.json"] {
        assert_eq!(crate::common::get(path).to(server.address()).status, 401, "{path}");
    }
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn a_server_of_this_machine_answers_to_its_own_names_alone() {
    assert_eq!(get("/v2/health/live").header("Host", "evil.example").to(shared()).status, 421);
    assert_eq!(get("/v2/health/live").header("Host", "127.0.0.1:1").to(shared()).status, 200);
}

#[test]
fn pages_of_other_sites_are_refused_where_no_key_is_asked_for() {
    let unload = |name: &'static str, value: &str| {
        let call = post("/v2/repository/models/load/unload", "").header(name, value);
        call.to(shared()).status
    };
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "http://localhost.evil.example:8080"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        assert_eq!(unload(name, value), 421, "{name}: {value}");
        assert_eq!(get("/v1/models").header(name, value).to(shared()).status, 421);
    }
    for (name, value) in [
        ("Origin", "http://localhost:3000"),
        ("Origin", "http://127.0.0.1"),
        ("Origin", "http://[::1]:8080"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
    ] {
        assert_eq!(get("/v1/models").header(name, value).to(shared()).status, 200, "{value}");
    }
}

#[test]
fn requests_keep_their_names() {
    let id = |given: &str| {
        let answer = get("/v2/health/live").header("X-Request-Id", given).to(shared());
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("order-17"), "order-17");
    assert_ne!(id("a b\"c"), "a b\"c");
}

#[test]
fn counters_are_those_of_the_requests() {
    let server = server_with(options());
    for _ in 0..3 {
        post("/v1/forecast?model=load", csv(60)).media("text/csv").to(server.address());
    }
    post("/v1/forecast?model=none", csv(60)).media("text/csv").to(server.address());
    let text = get("/metrics").to(server.address()).text();
    let line = "ptsm_requests_total{model=\"load\",protocol=\"v1\",code=\"200\"} 3";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("code=\"404\"} 1") && text.contains("ptsm_compute_seconds_count 3"));
    assert!(text.contains("ptsm_model_load_failures_total 0"));
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn a_model_is_swapped_whole_and_a_bad_one_leaves_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("model");
    let copy = || {
        std::fs::create_dir_all(&dir).unwrap();
        for entry in std::fs::read_dir(forecaster()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
            }
        }
    };
    copy();
    let sources = [ModelSource::new("load", &dir).unwrap()];
    let registry = Arc::new(Registry::open(&sources, "cpu").unwrap());
    let server = Server::start(registry, Options { allow_reload: true, ..options() }).unwrap();
    let address = server.address();
    let load = || post("/v2/repository/models/load/load", "").to(address).status;
    let forecast = || {
        let answer = post("/v1/forecast?model=load", csv(60)).media("text/csv").to(address);
        (answer.status, answer.text())
    };
    let wanted = (200, wanted_csv(&csv(60)));
    assert_eq!((forecast(), load(), forecast()), (wanted.clone(), 200, wanted.clone()));
    // One bit of the weights.
    let weights = dir.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert_eq!((load(), forecast()), (503, wanted.clone()));
    let text = get("/metrics").to(address).text();
    assert!(text.contains("ptsm_model_load_failures_total 1"), "{text}");
    assert!(!get("/v1/models/load").to(address).text().contains(&dir.display().to_string()));
    copy();
    assert_eq!((load(), forecast()), (200, wanted));
    assert_eq!(post("/v2/repository/models/load/unload", "").to(address).status, 200);
    assert_eq!(forecast().0, 503);
    assert_eq!((load(), forecast().0), (200, 200));
    server.stop(Duration::ZERO).unwrap();
    // Without leave there is no change.
    assert_eq!(post("/v2/repository/models/load/unload", "").to(shared()).status, 403);
}

#[test]
fn workers_keep_nothing_of_a_model_that_was_unloaded_or_swapped() {
    let server = server_with(Options { allow_reload: true, ..options() });
    let address = server.address();
    let sessions = || {
        let text = get("/metrics").to(address).text();
        let line = text.lines().find(|line| line.starts_with("ptsm_sessions "));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    // A worker sees it a moment later, and nothing else is asked for meanwhile.
    let emptied = || {
        let end = Instant::now() + Duration::from_secs(60);
        while sessions() > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        sessions() == 0
    };
    for change in ["unload", "load"] {
        let answer = post("/v1/forecast?model=load", csv(60)).media("text/csv").to(address);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(sessions() > 0);
        let path = format!("/v2/repository/models/load/{change}");
        assert_eq!(post(&path, "").to(address).status, 200);
        assert!(emptied(), "{change}");
        assert_eq!(post("/v2/repository/models/load/load", "").to(address).status, 200);
    }
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn a_model_is_named_by_the_checksums_of_its_files() {
    let sums = std::fs::read(forecaster().join("SHA256SUMS")).unwrap();
    let wanted = ptsm::core::sha256(&sums);
    assert_eq!(get("/v1/models/load").to(shared()).json()["sha256"], wanted);
    assert_eq!(get("/v2/models/load").to(shared()).json()["parameters"]["sha256"], wanted);
    let builtin = get("/v1/models/builtin").to(shared()).json();
    assert_eq!(builtin["sha256"], ptsm::zero_shot::builtin_sha256());
}

#[test]
fn options_that_cannot_be_are_refused_before_a_port_is_bound() {
    let hour = Duration::from_secs(3600);
    for (name, wrong) in [
        ("workers", Options { workers: 100_000, ..options() }),
        ("exit_timeout", Options { exit_timeout: 25 * hour, ..options() }),
        ("drain_delay", Options { drain_delay: Duration::MAX, ..options() }),
        ("queue_windows", Options { limits: limits(|l| l.queue_windows = 0), ..options() }),
        ("default_timeout", Options { limits: limits(|l| l.default_timeout = hour), ..options() }),
    ] {
        let error = wrong.check().unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
        let registry = Arc::new(Registry::open(&[], "cpu").unwrap());
        assert_eq!(Server::start(registry, wrong).err().unwrap().to_string(), error);
    }
}

#[test]
fn a_damaged_model_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let source = ModelSource::new("x", folder.path()).unwrap();
    let error = Registry::open(&[source], "cpu").err().unwrap().to_string();
    assert!(error.starts_with("model x"), "{error}");
}
