//! The boundary to libraries that read binary formats: where they panic over a damaged file, that is an
//! error of the file.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ptsm_core::{Error, Result};

thread_local! {
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread runs code whose panics are caught and reported as damage of a file: a hook that
/// reports panics as defects has nothing to say then.
pub fn is_foreign_code() -> bool {
    INSIDE.get() > 0
}

/// Counts a call of [`guarded`], also where it ends in a panic.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

/// Runs `read` on a file of `format`; a panic in it becomes an error.
pub(super) fn guarded<T>(format: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let inside = Inside::enter();
    // What a panic leaves half done is thrown away with the closure.
    let done = catch_unwind(AssertUnwindSafe(read));
    drop(inside);
    done.unwrap_or_else(|panic| {
        let text = format!("the {format} file is damaged: the library that reads it gave up");
        Err(Error::input(text).because(message(panic.as_ref())))
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_file() {
        assert!(!is_foreign_code());
        assert!(guarded("x", || Ok(is_foreign_code())).unwrap());
        let error = guarded::<()>("Parquet", || {
            Vec::<u8>::new().remove(3);
            Ok(())
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ptsm_core::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("the Parquet file is damaged"), "{error}");
        assert!(!is_foreign_code());
    }
}
