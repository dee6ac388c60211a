//! [`Bodies`]: how many bytes the bodies of all requests hold at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::failure::{Answered, Code, Failure};

/// Bytes of the bodies of all requests.
pub(crate) struct Bodies {
    held: AtomicUsize,
    most: usize,
}

impl Bodies {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), most })
    }

    /// Room for one body, which has taken nothing yet.
    pub(crate) fn room(self: &Arc<Self>) -> Room {
        Room { all: Arc::clone(self), taken: AtomicUsize::new(0) }
    }
}

/// What one body has taken; it is given back when this is dropped.
pub(crate) struct Room {
    all: Arc<Bodies>,
    taken: AtomicUsize,
}

impl Room {
    /// Takes room for further bytes, which have come.
    pub(crate) fn take(&self, bytes: usize) -> Answered<()> {
        let Bodies { held, most } = &*self.all;
        let more = |held: usize| held.checked_add(bytes).filter(|held| held <= most);
        match held.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => {
                self.taken.fetch_add(bytes, Ordering::AcqRel);
                Ok(())
            }
            Err(held) => {
                let text = format!("bodies hold {held} bytes, {most} at most (try again)");
                Err(Failure::new(Code::Memory, text))
            }
        }
    }

    /// Bytes that keep the room until nobody has a part of them.
    pub(crate) fn keep(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _room: self })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.all.held.fetch_sub(*self.taken.get_mut(), Ordering::AcqRel);
    }
}

/// Bytes and their room.
struct Kept {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_held_as_long_as_a_part_of_the_bytes() {
        let all = Bodies::new(10);
        let (first, second) = (all.room(), all.room());
        first.take(4).unwrap();
        first.take(3).unwrap();
        let failure = second.take(4).unwrap_err();
        assert_eq!(failure.code, Code::Memory);
        assert!(failure.message.contains("hold 7 bytes, 10 at most"), "{failure}");
        assert!(second.take(usize::MAX).is_err());
        second.take(3).unwrap();
        let bytes = first.keep(Bytes::from_static(b"1234567"));
        let part = bytes.slice(2..4);
        drop((bytes, second));
        assert!(all.room().take(4).is_err());
        assert_eq!(&part[..], b"34");
        drop(part);
        all.room().take(10).unwrap();
    }
}
