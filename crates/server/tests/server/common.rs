//! Models, servers and a client for the tests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ptsm::data::{LabelOptions, LabelledSet, ReadOptions, Repair, Roles, SeriesSet, Table};
use ptsm::forecast::forecast_table;
use ptsm::spec::LossChoice;
use ptsm::{Classifier, Cpu, FitOptions, Forecast, Forecaster};
use ptsm_server::{Limits, ModelSource, Options, Registry, Server};
use serde_json::Value;

/// Rows of an hour each in January, 744 at most, of two channels, some missing.
pub(crate) fn csv(rows: usize) -> String {
    let mut text = "time,load,heat\n".to_owned();
    for row in 0..rows {
        let (day, hour) = (row / 24, row % 24);
        let load = 50.0
            + 20.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin()
            + (row * 7919 % 13) as f64;
        let heat = if row % 17 == 5 { String::new() } else { format!("{}", 3.0 + load / 7.0) };
        text += &format!("2024-01-{:02} {hour:02}:00:00,{load},{heat}\n", 1 + day);
    }
    text
}

/// The table of [`csv`].
pub(crate) fn table(rows: usize) -> Table {
    Table::from_csv(csv(rows).as_bytes(), "data", &ReadOptions::default()).unwrap()
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// A forecaster: 48 steps to 12, two channels, quantiles from 0.1 to 0.9.
pub(crate) fn forecaster() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = folder().join("forecaster");
        let mut options = FitOptions::steps(12).context(48).epochs(1).save_to(&dir);
        options.model.loss = Some(LossChoice::Quantile);
        options.model.d_model = Some(8);
        options.model.num_layers = Some(1);
        Forecaster::fit(&table(600), &options).unwrap();
        dir
    })
    .clone()
}

/// Cases of two classes, as a long table with the labels.
pub(crate) fn cases(count: usize, labels: bool) -> String {
    let mut text = format!("case,step,x{}\n", if labels { ",label" } else { "" });
    for case in 0..count {
        let rises = case % 2 == 0;
        for step in 0..16 {
            let x = if rises { step as f64 } else { 16.0 - step as f64 };
            let x = x + (case * 31 + step * 17) as f64 % 5.0 / 10.0;
            let label = if rises { "rises" } else { "drops" };
            let label = if labels { format!(",{label}") } else { String::new() };
            text += &format!("c{case},{step},{x}{label}\n");
        }
    }
    text
}

/// A classifier of [`cases`].
pub(crate) fn classifier() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = folder().join("classifier");
        let label = LabelOptions { values: Some(false), ..LabelOptions::default() };
        let read = LabelledSet::reading(&ReadOptions::default(), &label);
        let table = Table::from_csv(cases(20, true).as_bytes(), "cases", &read).unwrap();
        let options = FitOptions::default().epochs(3).save_to(&dir);
        Classifier::fit(&table, &options).unwrap();
        dir
    })
    .clone()
}

/// Limits that are changed for a test.
pub(crate) fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// A server of the forecaster as `load`, of the classifier as `moves`, and of `builtin`.
pub(crate) fn server(limits: Limits) -> Server {
    server_with(Options { limits, ..options() })
}

pub(crate) fn options() -> Options {
    Options { port: 0, log: false, workers: 2, ..Options::default() }
}

pub(crate) fn server_with(options: Options) -> Server {
    let source = |name: &str, dir| ModelSource::new(name, dir).unwrap();
    let sources = [source("load", forecaster()), source("moves", classifier())];
    Server::start(Arc::new(Registry::open(&sources, "cpu").unwrap()), options).unwrap()
}

/// A server that all tests share which change nothing of it.
pub(crate) fn shared() -> SocketAddr {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| server(Limits::default())).address()
}

/// What the library forecasts for the table of [`csv`], as `ptsm predict` does.
pub(crate) fn wanted(text: &str) -> (SeriesSet, Vec<Forecast>) {
    let mut forecaster = Forecaster::from_dir(&forecaster(), &Cpu::default()).unwrap();
    let table = Table::from_csv(text.as_bytes(), "data", &ReadOptions::default()).unwrap();
    let set = forecaster.read_as(&table, &Roles::default(), &Repair::default()).unwrap();
    let forecasts = forecaster.predict(&set, 0).unwrap();
    (set, forecasts)
}

/// The interval of 80 % of a forecast.
pub(crate) fn interval(forecast: &Forecast) -> &ptsm::ForecastInterval {
    forecast.intervals.iter().find(|interval| interval.level == 0.8).unwrap()
}

/// The same as CSV.
pub(crate) fn wanted_csv(text: &str) -> String {
    let (set, forecasts) = wanted(text);
    let mut csv = Vec::new();
    forecast_table(&set, &forecasts).unwrap().write_csv(&mut csv).unwrap();
    String::from_utf8(csv).unwrap()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A request, sent over a connection of its own.
pub(crate) struct Call<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, String)>,
    body: Vec<u8>,
}

pub(crate) fn get(path: &str) -> Call<'_> {
    Call { method: "GET", path, headers: Vec::new(), body: Vec::new() }
}

pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Call<'_> {
    Call { method: "POST", path, headers: Vec::new(), body: body.into() }
}

impl<'a> Call<'a> {
    pub(crate) fn header(mut self, name: &'a str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn media(self, media: &str) -> Self {
        self.header("Content-Type", media)
    }

    pub(crate) fn accept(self, media: &str) -> Self {
        self.header("Accept", media)
    }

    /// The text of the request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| *name == "Host") {
            text += "Host: localhost\r\n";
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        [text.as_bytes(), &self.body].concat()
    }

    pub(crate) fn to(&self, address: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // A server that has refused may have closed its side already.
        let _ = stream.write_all(&self.bytes());
        read_answer(&mut BufReader::new(stream)).expect("an answer")
    }
}

/// The next answer of a connection; `None` where it is closed in place of one.
pub(crate) fn read_answer(stream: &mut impl BufRead) -> Option<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let answer = Answer { status, headers, body: Vec::new() };
    let length = answer.header("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Answer { body, ..answer })
}
