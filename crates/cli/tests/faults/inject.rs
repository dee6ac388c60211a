//! Faults by `strace`, which counts the calls of a thread by their names.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Calls that change files.
const CALLS: [&str; 16] = [
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "unlink",
    "unlinkat",
    "ftruncate",
    "fchmod",
    "copy_file_range",
    "sendfile",
    "openat",
];

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The process is killed before the call has done anything.
    Killed,
    /// The call fails once, as on a damaged disk.
    Damaged,
    /// It fails from then on, as on a full disk.
    Full,
    /// It fails once, as on a disk that may only be read.
    ReadOnly,
    /// It is interrupted by a signal once, and must be repeated.
    Interrupted,
    /// There are no more descriptors from then on.
    NoDescriptors,
}

impl Fault {
    /// The faults that a call is tried with.
    fn of(call: &str) -> &'static [Self] {
        match call {
            "write" | "pwrite64" | "writev" => {
                &[Self::Killed, Self::Damaged, Self::Full, Self::Interrupted]
            }
            "mkdir" => &[Self::Killed, Self::ReadOnly],
            "openat" => &[Self::NoDescriptors, Self::ReadOnly],
            _ => &[Self::Killed, Self::Damaged],
        }
    }

    fn expression(self, nth: usize) -> String {
        match self {
            Self::Killed => format!("signal=SIGKILL:when={nth}"),
            Self::Damaged => format!("error=EIO:when={nth}"),
            Self::Full => format!("error=ENOSPC:when={nth}+"),
            Self::ReadOnly => format!("error=EROFS:when={nth}"),
            Self::Interrupted => format!("error=EINTR:when={nth}"),
            Self::NoDescriptors => format!("error=EMFILE:when={nth}+"),
        }
    }
}

/// The nth call of a name meets a fault.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    call: String,
    nth: usize,
    pub(crate) fault: Fault,
}

/// How a command is started: where, with what arguments, and which file is its standard input.
pub(crate) struct Started<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) arguments: &'a str,
    /// Its name in the folder.
    pub(crate) input: Option<&'static str>,
}

impl Started<'_> {
    /// Runs it as it is.
    pub(crate) fn run(&self) -> Output {
        self.output(Command::new(env!("CARGO_BIN_EXE_ptsm")))
    }

    /// Runs it with a fault at a point.
    pub(crate) fn run_with(&self, point: &Point) -> Output {
        let Point { call, nth, fault } = point;
        let mut strace = traced("/dev/null".as_ref(), call);
        strace.args(["-e", &format!("inject={call}:{}", fault.expression(*nth))]);
        strace.arg(env!("CARGO_BIN_EXE_ptsm"));
        self.output(strace)
    }

    /// Runs it without a fault, and gives every point of its main thread from the first file on that it opens in its folder:
    /// what comes before is the loader's.
    pub(crate) fn points(&self) -> Vec<Point> {
        let log = self.folder.join("calls");
        let mut strace = traced(&log, &CALLS.join(","));
        strace.arg(env!("CARGO_BIN_EXE_ptsm"));
        let output = self.output(strace);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(&log).unwrap();
        let mut lines =
            text.lines().filter_map(|line| line.split_once(char::is_whitespace)).peekable();
        let main = lines.peek().unwrap().0.to_owned();
        let (mut counts, mut points) = (BTreeMap::<String, usize>::new(), Vec::new());
        let mut begun = false;
        for (_, line) in lines.filter(|(thread, _)| *thread == main) {
            let Some((call, rest)) = line.trim_start().split_once('(') else { continue };
            let nth = counts.entry(call.to_owned()).or_default();
            *nth += 1;
            begun |= call != "openat"
                || ["data.csv", "\"m", "suite"].iter().any(|name| rest.contains(name));
            if begun {
                let faults = Fault::of(call).iter();
                points.extend(faults.map(|&fault| Point {
                    call: call.to_owned(),
                    nth: *nth,
                    fault,
                }));
            }
        }
        points
    }

    fn output(&self, mut command: Command) -> Output {
        let input = match self.input {
            Some(name) => std::fs::File::open(self.folder.join(name)).unwrap().into(),
            None => Stdio::null(),
        };
        command.args(self.arguments.split_whitespace()).current_dir(self.folder).stdin(input);
        command.env("XDG_CACHE_HOME", self.folder.join("cache")).env_remove("PTSM_DATA_DIR");
        command.output().unwrap()
    }
}

fn traced(log: &Path, calls: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-e", &format!("trace={calls}"), "-o"]).arg(log);
    strace
}

/// Whether `strace` is there and may trace.
pub(crate) fn can_inject() -> bool {
    let tried = traced("/dev/null".as_ref(), "write").arg("true").output();
    tried.is_ok_and(|output| output.status.success())
}
