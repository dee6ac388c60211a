//! More requests than the server can take, late ones, and its end while they come.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ptsm::data::TableFormat;
use ptsm_server::Options;

use crate::common::{
    Call, csv, forecaster, get, limits, options, post, read_answer, server, server_with, wanted,
    wanted_csv,
};

fn forecast(rows: usize) -> Call<'static> {
    post("/v1/forecast?model=load", csv(rows)).media("text/csv")
}

/// A request, and its right answer.
struct Asked {
    call: Call<'static>,
    wanted: String,
}

/// A forecast that takes a worker long.
fn long() -> Asked {
    let call = post("/v1/forecast?model=load&prediction_length=1200", csv(100)).media("text/csv");
    let mut forecaster = ptsm::Forecaster::from_dir(&forecaster(), &ptsm::Cpu::default()).unwrap();
    let (set, _) = wanted(&csv(100));
    let forecasts = forecaster.predict_steps(&set, 0, 1200).unwrap();
    let table = ptsm::forecast::forecast_table(&set, &forecasts).unwrap();
    let wanted = String::from_utf8(table.to_bytes(TableFormat::Csv).unwrap()).unwrap();
    Asked { call, wanted }
}

/// Sends `each` requests over each of many connections at once; the answers by status. What is answered is `wanted`.
fn storm(
    address: SocketAddr,
    [connections, each]: [usize; 2],
    asked: &Asked,
) -> BTreeMap<u16, usize> {
    let Asked { call, wanted } = asked;
    let client = || {
        let mut statuses = BTreeMap::new();
        let mut stream = TcpStream::connect(address).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let bytes = call.bytes();
        for _ in 0..each {
            stream.write_all(&bytes).unwrap();
            let answer = read_answer(&mut reader).expect("an answer");
            if answer.status == 200 {
                assert_eq!(answer.text(), *wanted);
            }
            if answer.status == 429 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.json()["error"]["code"], "Q001");
            }
            *statuses.entry(answer.status).or_insert(0) += 1;
        }
        statuses
    };
    let mut all = BTreeMap::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        for client in clients {
            for (status, count) in client.join().unwrap() {
                *all.entry(status).or_insert(0) += count;
            }
        }
    });
    all
}

#[test]
fn a_full_queue_gives_429_and_every_200_is_right() {
    let limits = limits(|limits| {
        limits.queue_windows = 2;
        limits.batch_windows = 2;
    });
    let server = server_with(Options { limits, workers: 1, ..options() });
    let statuses = storm(server.address(), [64, 10], &long());
    assert!(statuses.keys().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert!(statuses[&200] > 0 && statuses.contains_key(&429), "{statuses:?}");
    // And then it is as before.
    assert_eq!(forecast(100).to(server.address()).status, 200);
    let text = get("/metrics").to(server.address()).text();
    assert!(text.contains("ptsm_worker_panics_total 0"), "{text}");
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn batches_of_what_waits_give_the_bits_of_each_alone() {
    let limits = limits(|limits| limits.queue_windows = 4096);
    let server = server_with(Options { limits, workers: 1, ..options() });
    let statuses = storm(
        server.address(),
        [32, 30],
        &Asked { call: forecast(100), wanted: wanted_csv(&csv(100)) },
    );
    assert_eq!(statuses, BTreeMap::from([(200, 960)]));
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn a_request_that_is_larger_than_the_queue_comes_in_pieces() {
    let limits = limits(|limits| {
        limits.queue_windows = 8;
        limits.batch_windows = 4;
    });
    let server = server_with(Options { limits, ..options() });
    let mut text = "id,time,y\n".to_owned();
    for series in 0..50 {
        for row in 0..30 {
            text += &format!("s{series},{row},{}\n", (row * series) % 7);
        }
    }
    let call = post("/v1/forecast?model=builtin&prediction_length=3&id=id", text).media("text/csv");
    let answer = call.to(server.address());
    assert_eq!((answer.status, answer.text().lines().count()), (200, 151), "{}", answer.text());
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn what_is_late_gets_504() {
    let server = server(limits(|_| {}));
    let late = forecast(100).header("Request-Timeout-Ms", 0).to(server.address());
    assert_eq!((late.status, late.json()["error"]["code"].clone()), (504, "Q003".into()));
    let bad = forecast(100).header("Request-Timeout-Ms", "soon").to(server.address());
    assert_eq!(bad.status, 400);
    assert_eq!(forecast(100).header("Request-Timeout-Ms", 20_000).to(server.address()).status, 200);
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn the_time_to_end_is_one_time_for_answers_and_workers() {
    let exit_timeout = Duration::from_secs(2);
    let limits = limits(|limits| (limits.steps, limits.cells) = (usize::MAX, usize::MAX));
    let server = server_with(Options { limits, workers: 1, exit_timeout, ..options() });
    // A forecast that takes a worker longer than twice that time.
    let path = "/v1/forecast?model=load&prediction_length=4000000";
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&post(path, csv(100)).media("text/csv").bytes()).unwrap();
    let waits = || {
        let text = get("/metrics").to(server.address()).text();
        text.contains("ptsm_sessions 0") || !text.contains("ptsm_queue_windows 0")
    };
    while waits() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let began = Instant::now();
    let error = server.stop(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ptsm::ErrorKind::Interrupted);
    assert!((exit_timeout..2 * exit_timeout).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn the_end_of_the_server_breaks_no_answer() {
    let server = server(limits(|_| {}));
    let address = server.address();
    let wanted = wanted_csv(&csv(100));
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (broken, not_ready) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let client = || {
        let bytes = forecast(100).bytes();
        while !stop.load(Ordering::Acquire) {
            // After the end no connection is made, which breaks no answer.
            let Ok(mut stream) = TcpStream::connect(address) else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for number in 0.. {
                if stream.write_all(&bytes).is_err() {
                    broken.fetch_add(usize::from(number > 0), Ordering::Relaxed);
                    break;
                }
                let Some(answer) = read_answer(&mut reader) else {
                    // A connection that nobody took before the end carries no request that was begun.
                    broken.fetch_add(usize::from(number > 0), Ordering::Relaxed);
                    break;
                };
                assert_eq!((answer.status, answer.text()), (200, wanted.clone()));
                answers.fetch_add(1, Ordering::Relaxed);
                if answer.header("connection") == Some("close") {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        std::thread::sleep(Duration::from_millis(300));
        let watch = scope.spawn(|| {
            let end = Instant::now() + Duration::from_millis(700);
            while Instant::now() < end {
                if TcpStream::connect(address).is_ok() {
                    let status = get("/v2/health/ready").to(address).status;
                    not_ready.fetch_add(usize::from(status == 503), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
                if stop.load(Ordering::Acquire) || not_ready.load(Ordering::Relaxed) > 3 {
                    return;
                }
            }
        });
        server.stop(Duration::from_millis(500)).unwrap();
        stop.store(true, Ordering::Release);
        watch.join().unwrap();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert_eq!(broken.load(Ordering::Relaxed), 0);
    assert!(answers.load(Ordering::Relaxed) > 0 && not_ready.load(Ordering::Relaxed) > 0);
}
