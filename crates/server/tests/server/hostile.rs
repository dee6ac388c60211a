//! Hostile requests get 4xx, and the server serves on.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use ptsm::data::{Column, Table, TableFormat};
use serde_json::json;

use crate::common::{csv, get, limits, post, read_answer, server, shared};

/// That the server answers as before.
fn serves_on() {
    let answer = post("/v1/forecast?model=load", csv(60)).media("text/csv").to(shared());
    assert_eq!(answer.status, 200);
}

#[test]
fn deep_json_is_refused() {
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    for body in [deep("[", "]"), deep("{\"a\":", "}"), format!("{{\"data\": {}}}", deep("[", "]"))]
    {
        for path in [
            "/v1/forecast",
            "/v1/inspect",
            "/v1/classify",
            "/v2/models/load/infer",
            "/v1/timeseries/forecast",
            "/v1/inference/forecasting",
        ] {
            let answer = post(path, body.clone()).media("application/json").to(shared());
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        }
    }
    serves_on();
}

#[test]
fn names_are_never_paths() {
    for name in ["..%2f..%2fetc", "%00", "load%00", "..", "http:%2f%2fx", "%2fetc%2fpasswd", "LOAD"]
    {
        for path in [
            format!("/v1/models/{name}"),
            format!("/v2/models/{name}"),
            format!("/v2/models/{name}/ready"),
        ] {
            let answer = get(&path).to(shared());
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.text().contains("No such file"), "{}", answer.text());
        }
        let path = format!("/v1/forecast?model={name}");
        let answer = post(&path, csv(60)).media("text/csv").to(shared());
        assert_eq!(answer.status, 404, "{name}");
    }
    let body = json!({"model": "../model", "data": {"x": [1]}}).to_string();
    assert_eq!(post("/v1/forecast", body).to(shared()).status, 404);
}

#[test]
fn bodies_have_a_size_and_a_pace() {
    let server = server(limits(|limits| {
        limits.body_bytes = 10_000;
        limits.body_pieces = 100;
        limits.body_time = Duration::from_millis(600);
        limits.header_time = Duration::from_millis(600);
    }));
    let address = server.address();
    let answer = post("/v1/forecast?model=load", vec![b'x'; 10_001]).media("text/csv");
    assert_eq!(answer.to(address).status, 413);
    // A length that is not kept, and one that is too large to be true.
    for length in ["5000", "9223372036854775807"] {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nx"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut BufReader::new(stream)).unwrap();
        assert!([408, 413].contains(&answer.status), "{length}: {}", answer.status);
    }
    // Tiny pieces.
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_nodelay(true).unwrap();
    for _ in 0..2000 {
        if stream.write_all(b"1\r\n1\r\n").is_err() {
            break;
        }
    }
    let answer = read_answer(&mut BufReader::new(stream)).map(|answer| answer.status);
    assert!(matches!(answer, None | Some(408 | 413)), "{answer:?}");
    // A head that never ends is cut off.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: loc").unwrap();
    let mut reader = BufReader::new(stream);
    let answer = read_answer(&mut reader).map(|answer| answer.status);
    assert!(matches!(answer, None | Some(408)), "{answer:?}");
    assert_eq!(get("/v2/health/live").to(address).status, 200);
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn connections_that_say_nothing_are_closed() {
    let server = server(limits(|limits| limits.header_time = Duration::from_millis(600)));
    let address = server.address();
    // The last one is as far as a head of HTTP/2 can be told from one of HTTP/1.
    for sent in [&b""[..], b"G", b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(sent).unwrap();
        // Closed, perhaps after a refusal; an error is that of the time of the test.
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
        assert!(rest.len() < 1000, "{sent:?}");
    }
    // A head that comes in pieces is a head.
    let mut stream = TcpStream::connect(address).unwrap();
    // Its path is one that no route has, not even the page's.
    for piece in ["PR", "OPFIND /nothing HT", "TP/1.1\r\nHost: localhost\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(read_answer(&mut BufReader::new(stream)).unwrap().status, 404);
    // The preface of HTTP/2 and empty settings: the server sends its settings, a frame of type 4.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut head = [0; 9];
    std::io::Read::read_exact(&mut stream, &mut head).unwrap();
    assert_eq!(head[3], 4);
    drop(stream);
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn bodies_have_a_size_together() {
    let server = server(limits(|limits| {
        (limits.body_bytes, limits.bodies_bytes) = (100_000, 100_000);
    }));
    let address = server.address();
    // `None` where the server had closed its side before all was sent.
    let ask = || {
        let mut stream = TcpStream::connect(address).unwrap();
        let call = post("/v1/inspect", vec![b'x'; 50_000]).media("text/csv");
        let _ = stream.write_all(&call.bytes());
        read_answer(&mut BufReader::new(stream))
    };
    let until = |wanted: &dyn Fn(u16) -> bool| {
        let again = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            ask().filter(|answer| wanted(answer.status))
        });
        again.expect("an answer of this status")
    };
    let alone = ask().unwrap().status;
    assert!((400..500).contains(&alone), "{alone}");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 80000\r\n\r\n";
    stream.write_all(&[head.as_bytes(), &[b'x'; 79_999]].concat()).unwrap();
    // A moment later the server has read what was sent.
    let refused = until(&|status| status != alone);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json()["error"]["code"], "Q004");
    assert!(refused.text().contains("100000 at most"), "{}", refused.text());
    // And room is given back by a body that breaks off.
    drop(stream);
    until(&|status| status == alone);
    server.stop(Duration::ZERO).unwrap();
}

#[test]
fn floods_of_headers_are_refused() {
    let mut stream = TcpStream::connect(shared()).unwrap();
    stream.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    for number in 0..200_000 {
        if stream.write_all(format!("x-{number}: {number}\r\n").as_bytes()).is_err() {
            break;
        }
    }
    let answer = read_answer(&mut BufReader::new(stream)).map(|answer| answer.status);
    assert!(matches!(answer, None | Some(431 | 400)), "{answer:?}");
    serves_on();
}

#[test]
fn what_is_said_to_be_large_is_not_unpacked() {
    // Parquet with many more rows than are taken, in few bytes.
    let column = Column::numbers("load", vec![1.0; 5_000_000]);
    let packed = Table::new(vec![column]).unwrap().to_bytes(TableFormat::Parquet).unwrap();
    assert!(packed.len() < 1 << 20, "{}", packed.len());
    let answer = post("/v1/inspect", packed).media("application/vnd.apache.parquet").to(shared());
    assert_eq!(answer.status, 413, "{}", answer.text());
    for (media, bytes) in [
        ("text/csv", b"\x1f\x8b\x08\0\0\0\0\0".to_vec()),
        ("text/csv", b"\x28\xb5\x2f\xfd\0\0\0\0".to_vec()),
        ("application/json", b"\x1f\x8b\x08\0".to_vec()),
        ("application/vnd.apache.parquet", b"PAR1\xff\xff\xff\x7fPAR1".to_vec()),
        ("application/vnd.apache.arrow.stream", b"\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()),
        ("application/vnd.apache.arrow.stream", b"ARROW1\0\0".to_vec()),
    ] {
        let answer = post("/v1/inspect", bytes).media(media).to(shared());
        assert!((400..500).contains(&answer.status), "{media}: {}", answer.text());
    }
    serves_on();
}

#[test]
fn rows_that_each_name_another_column_are_counted_before_they_are_made() {
    let names = 0..30_000;
    let rows: Vec<String> = names.clone().map(|name| format!("{{\"{name}\":1}}")).collect();
    let last: Vec<String> = names.map(|name| format!("\"{name}\":1")).collect();
    let empty = "{},".repeat(30_000);
    for data in [format!("[{}]", rows.join(",")), format!("[{empty}{{{}}}]", last.join(","))] {
        for path in ["/v1/inspect", "/v1/forecast"] {
            let model = if path == "/v1/forecast" { "\"model\": \"load\", " } else { "" };
            let answer = post(path, format!("{{{model}\"data\": {data}}}")).to(shared());
            assert_eq!(answer.status, 413, "{path}: {}", answer.text());
            assert!(answer.text().contains("4000000 cells"), "{}", answer.text());
        }
    }
    serves_on();
}

#[test]
fn rows_far_apart_make_no_endless_grid() {
    let text = "time,load,heat\n1970-01-01 00:00:00,1,1\n1970-01-01 01:00:00,1,1\n\
                1970-01-01 02:00:00,1,1\n9000-01-01 00:00:00,1,1\n";
    for model in ["load", "builtin"] {
        let path = format!("/v1/forecast?model={model}");
        let answer = post(&path, text).media("text/csv").to(shared());
        assert!((400..500).contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    serves_on();
}

#[test]
fn huge_horizons_and_odd_values_are_refused() {
    for (query, status) in [
        ("prediction_length=2147483648", 413),
        ("prediction_length=10001", 413),
        ("prediction_length=18446744073709551615", 413),
        ("prediction_length=-1", 400),
        ("rows_before_end=18446744073709551615", 422),
        ("frequency=0s", 400),
        ("levels=NaN", 422),
        ("levels=1e308", 422),
    ] {
        let path = format!("/v1/forecast?model=load&{query}");
        let answer = post(&path, csv(60)).media("text/csv").to(shared());
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    for value in ["1e308", "-1e308", "inf", "nan", "1e999", "0x10"] {
        let text = csv(60) + &format!("2024-01-03 12:00:00,{value},1\n");
        let answer = post("/v1/forecast?model=load", text).media("text/csv").to(shared());
        assert!(answer.status < 500, "{value}: {}", answer.text());
    }
    serves_on();
}
