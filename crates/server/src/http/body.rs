//! Bodies, read within their limits: bytes, pieces and time.

use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::failure::{Answered, Code, Failure};
use crate::state::Service;

/// Time in which a body may be slower than its limit.
const GRACE: Duration = Duration::from_secs(5);

/// Reads a body whole. Its bytes hold their room among the bodies of all requests until they are dropped.
pub(crate) async fn read(body: Body, service: &Service) -> Answered<Bytes> {
    let (began, limits, room) = (Instant::now(), &service.limits, service.bodies.room());
    let slow = || Failure::new(Code::Slow, "the body came too slowly");
    let large = || {
        let text = format!("the body has more than {} bytes (send several)", limits.body_bytes);
        Failure::new(Code::TooLarge, text)
    };
    if http_body::Body::size_hint(&body).lower() > limits.body_bytes as u64 {
        return Err(large());
    }
    let (mut body, mut held, mut pieces) = (body, Vec::<Bytes>::new(), 0usize);
    let mut bytes = 0usize;
    loop {
        let waited = tokio::time::timeout_at((began + limits.body_time).into(), body.frame());
        // What came so far says until when the next piece must come.
        let pace = bytes as u64 / limits.body_bytes_per_second.max(1);
        let until = began + GRACE + Duration::from_secs(pace);
        let frame = match tokio::time::timeout_at(until.into(), waited).await {
            Err(_) | Ok(Err(_)) => return Err(slow()),
            Ok(Ok(None)) => break,
            Ok(Ok(Some(frame))) => frame,
        };
        let broken = |_| Failure::new(Code::Unreadable, "the body ended before its end");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        pieces += 1;
        bytes += data.len();
        if bytes > limits.body_bytes {
            return Err(large());
        }
        if pieces > limits.body_pieces {
            let text = format!("the body comes in more than {} pieces", limits.body_pieces);
            return Err(Failure::new(Code::TooLarge, text));
        }
        room.take(data.len())?;
        held.push(data);
    }
    Ok(room.keep(match held.len() {
        1 => held.swap_remove(0),
        _ => held
            .iter()
            .fold(BytesMut::with_capacity(bytes), |mut all, piece| {
                all.extend_from_slice(piece);
                all
            })
            .freeze(),
    }))
}
