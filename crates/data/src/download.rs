//! One file from the network, into memory, with limits.

use std::io::Read;
use std::time::Duration;

use ptsm_core::{Error, ErrorKind, Result};

/// Longest that a whole download may take.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Reads `url`, which must give exactly `bytes` bytes.
///
/// # Errors
///
/// `Io` if the network fails; `InvalidInput` if the length is another.
pub(super) fn download(url: &str, bytes: u64) -> Result<Vec<u8>> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(
            ErrorKind::Io,
            "cannot be downloaded (or fetch it elsewhere, and name its folder by PTSM_DATA_DIR)",
        )
        .at(url)
        .because(cause)
    };
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(TIME_LIMIT)).build().into();
    let response = agent.get(url).call().map_err(|e| failed(Box::new(e)))?;
    let mut content = Vec::new();
    // One byte more than wanted shows that there is too much.
    let mut reader = response.into_body().into_reader().take(bytes + 1);
    reader.read_to_end(&mut content).map_err(|e| failed(Box::new(e)))?;
    if content.len() as u64 != bytes {
        let text = format!("gave {} bytes or more, wanted {bytes}", content.len());
        return Err(Error::input(text).at(url));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    /// A server on the loopback that answers one request.
    fn serve_once(status: &'static str, body: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        });
        format!("http://{address}/x.csv")
    }

    #[test]
    fn a_file_of_the_right_length_arrives() {
        assert_eq!(download(&serve_once("200 OK", b"hello"), 5).unwrap(), b"hello");
    }

    #[test]
    fn other_lengths_and_failures_are_errors() {
        let short = download(&serve_once("200 OK", b"hello"), 9).unwrap_err();
        assert_eq!(short.kind(), ErrorKind::InvalidInput);
        let long = download(&serve_once("200 OK", b"hello"), 3).unwrap_err();
        assert!(long.to_string().contains("4 bytes or more, wanted 3"), "{long}");
        let missing = download(&serve_once("404 Not Found", b""), 3).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Io);
    }
}
