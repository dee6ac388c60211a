//! What can go wrong, where, and what to do about it.
//!
//! One error type for the whole library: a [kind](ErrorKind) that callers branch on, a place
//! (file, tensor, column, field) and a sentence. The command's exit code comes from the kind, in
//! [`ErrorKind::exit_code`] alone; the table in `docs/architecture.md` is tested against it.

use std::fmt;
use std::path::Path;

use crate::not_there::not_there;
use crate::option::{in_backticks, spelled};
use crate::shorten::shortened;

/// Result of everything in this library that can fail.
pub type Result<T> = std::result::Result<T, Error>;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error with its kind, its place and its cause.
///
/// Reads `PLACE: MESSAGE: CAUSE`, without a full stop. The message names what was wanted, what
/// came, and the way out where there is one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    place: Option<String>,
    message: String,
    cause: Option<Cause>,
}

/// The kinds of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A configuration field or an option has an impossible value.
    InvalidConfig,
    /// Data do not have the shape or the values that were asked for.
    InvalidInput,
    /// A file or folder could not be read or written.
    Io,
    /// A weights file is damaged or does not fit the configuration.
    InvalidWeights,
    /// A device, instruction set or backend is not there.
    BackendUnavailable,
    /// Work would take more memory than there is.
    OutOfMemory,
    /// The user asked to stop; what was finished is kept.
    Interrupted,
    /// A defect of ours.
    Internal,
}

impl ErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [ErrorKind; 8] = [
        ErrorKind::InvalidConfig,
        ErrorKind::InvalidInput,
        ErrorKind::Io,
        ErrorKind::InvalidWeights,
        ErrorKind::BackendUnavailable,
        ErrorKind::OutOfMemory,
        ErrorKind::Interrupted,
        ErrorKind::Internal,
    ];

    /// Exit code of the `ptsm` command for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::InvalidConfig | ErrorKind::InvalidInput => 2,
            ErrorKind::Io => 3,
            ErrorKind::InvalidWeights => 4,
            ErrorKind::BackendUnavailable => 5,
            ErrorKind::OutOfMemory => 6,
            ErrorKind::Interrupted => 130,
            ErrorKind::Internal => 70,
        }
    }
}

impl Error {
    /// An error of `kind` that says `message`; add the place with [`Error::at`].
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, place: None, message: message.into(), cause: None }
    }

    /// Bad configuration: `field` (as the user spells it) and what is wrong with it.
    pub fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidConfig, message).at(field)
    }

    /// Bad data.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A file that could not be read or written. Of one that is not there this is said plainly, with a name
    /// nearby that was probably meant, in place of the words of the system.
    pub fn io(path: &Path, message: impl Into<String>, cause: std::io::Error) -> Self {
        let (message, place) = (message.into(), path.display().to_string());
        if cause.kind() != std::io::ErrorKind::NotFound {
            return Self::new(ErrorKind::Io, message).at(place).because(cause);
        }
        let text = match message.strip_prefix("cannot be read") {
            Some(hint) => format!("{}{hint}", not_there(path)),
            None if message.starts_with("cannot be ") => format!("{message}: {}", not_there(path)),
            None => message,
        };
        Self::new(ErrorKind::Io, text).at(place)
    }

    /// A weights file that is damaged or does not fit.
    pub fn weights(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidWeights, message)
    }

    /// A defect of ours: an invariant that does not hold.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds where it happened; an outer place is written before an inner one.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        let outer = place.into();
        self.place = Some(match self.place {
            Some(inner) => format!("{outer}: {inner}"),
            None => outer,
        });
        self
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The text with every [`option`](crate::option()) in it as `spell` writes its name and value, such as a
    /// command's `--name value`.
    pub fn spelled(&self, spell: impl Fn(&str, Option<&str>) -> String) -> String {
        spelled(&self.marked(), spell)
    }

    /// The text with the marks around options.
    fn marked(&self) -> String {
        let mut text = String::new();
        if let Some(place) = &self.place {
            text += &format!("{place}: ");
        }
        text += &self.message;
        shortened(match &self.cause {
            Some(cause) => text + &format!(": {cause}"),
            None => text,
        })
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where it happened: file, tensor, column, row or field.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled(in_backticks))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause.as_ref() as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::option;

    #[test]
    fn text_reads_place_message_cause() {
        let denied = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "not yours");
        let error = Error::io(Path::new("a.csv"), "cannot be opened", denied).at("--data");
        assert_eq!(error.to_string(), "--data: a.csv: cannot be opened: not yours");
        assert_eq!(error.kind(), ErrorKind::Io);
    }

    #[test]
    fn a_file_that_is_not_there_is_said_plainly() {
        let said = |message: &str, path: &str| {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            Error::io(Path::new(path), message, missing).to_string()
        };
        assert_eq!(said("cannot be read", "none-like-it.csv"), "none-like-it.csv: no such file");
        assert_eq!(
            said("cannot be read (as we wrote it)", "none-like-it.csv"),
            "none-like-it.csv: no such file (as we wrote it)"
        );
        assert_eq!(
            said("cannot be written", "none like it/a.csv"),
            "none like it/a.csv: cannot be written: there is no folder none like it"
        );
        assert_eq!(said("no file fits the pattern", "*.x"), "*.x: no file fits the pattern");
    }

    #[test]
    fn options_are_spelled_as_each_edge_wants_and_other_text_stays() {
        let flag = |name: &str, value: Option<&str>| {
            let name = name.replace('_', "-");
            value.map_or(format!("--{name}"), |value| format!("--{name} {value}"))
        };
        let way_out = option("missing", Some("n.a."));
        let error = Error::input(format!("use {way_out} or {}", option("no_header", None)));
        assert_eq!(error.to_string(), "use `missing = n.a.` or `no_header`");
        assert_eq!(error.spelled(flag), "use --missing n.a. or --no-header");
        // The names that other libraries put into backticks are no options.
        let other = Error::input("unknown variant `step`, expected `mean`");
        assert_eq!(other.spelled(flag), "unknown variant `step`, expected `mean`");
    }

    #[test]
    fn architecture_page_lists_every_kind_with_its_exit_code() {
        let page = include_str!("../../../docs/architecture.md");
        for kind in ErrorKind::ALL {
            let row = format!("| `{kind:?}` | {} |", kind.exit_code());
            assert!(page.contains(&row), "docs/architecture.md lacks the row {row}");
        }
    }
}
