//! `ptsm serve`: forecasts over HTTP and gRPC.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ptsm::{Error, Result};
use ptsm_server::{Keys, Limits, ModelSource, Options, Registry, Server, new_key};
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, message, remark};
use crate::source::refuse_unused;

/// Seconds of a day.
const DAY: u64 = 24 * 3600;

/// What says how a server listens and ends, which a check of its models does not do.
const NOT_OF_A_CHECK: [&str; 13] = [
    "host",
    "port",
    "allow_reload",
    "no_page",
    "workers",
    "max_batch_windows",
    "max_queue_windows",
    "default_timeout_ms",
    "max_body_mib",
    "max_bodies_mib",
    "max_connections",
    "drain_delay",
    "exit_timeout",
];

/// What a new key has nothing to do with: all the rest.
const NOT_OF_A_KEY: [&str; 18] = [
    "folder",
    "model",
    "check",
    "api_key_file",
    "backend",
    "host",
    "port",
    "allow_reload",
    "no_page",
    "workers",
    "max_batch_windows",
    "max_queue_windows",
    "default_timeout_ms",
    "max_body_mib",
    "max_bodies_mib",
    "max_connections",
    "drain_delay",
    "exit_timeout",
];

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of model directories, each served under its name
    #[arg(value_name = "FOLDER", conflicts_with = "model")]
    folder: Option<PathBuf>,
    /// A model under a name (repeat it for several); the model inside the binary is served as builtin anyway
    #[arg(long, value_name = "NAME=DIR")]
    model: Vec<String>,
    /// Address to listen on; 0.0.0.0 = every one of the machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port, for HTTP and gRPC; 0 = one that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Load the models, test them and end
    #[arg(long, conflicts_with_all = NOT_OF_A_CHECK)]
    check: bool,
    /// File of keys that requests must bring, a line each: NAME:SHA256, or NAME:SHA256:MODEL,...
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Print a new key and its line for the file of keys, and end
    #[arg(long, value_name = "NAME", conflicts_with_all = NOT_OF_A_KEY)]
    new_key: Option<String>,
    /// Let requests load models again and unload them
    #[arg(long)]
    allow_reload: bool,
    /// Give browsers no page, only the routes of the protocols
    #[arg(long)]
    no_page: bool,
    /// Workers that compute; one for each core if not given
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    workers: usize,
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    backend: String,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Limits that users may want to change.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Windows that a worker computes together
    #[arg(long, value_name = "N", default_value_t = 32)]
    max_batch_windows: usize,
    /// Windows that may wait, of all models together; further requests get 429
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_queue_windows: usize,
    /// Milliseconds after which a request is late (504), where it names no other time; 600,000 at most
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    default_timeout_ms: u64,
    /// Megabytes (2^20 bytes) of a body
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_body_mib: usize,
    /// Megabytes of all bodies at once; further requests get 503; if not given 256, or room for the largest body
    #[arg(long, value_name = "N")]
    max_bodies_mib: Option<usize>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_connections: usize,
    /// Seconds after SIGTERM in which connections are still accepted, while the server says that it is not ready
    #[arg(long, value_name = "S", default_value_t = 5)]
    drain_delay: u64,
    /// Seconds after that in which what waits is computed
    #[arg(long, value_name = "S", default_value_t = 30)]
    exit_timeout: u64,
}

/// Serves until SIGTERM or Ctrl-C.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    if let Some(name) = &args.new_key {
        let (key, line) = new_key(name)?;
        let text = format!("key, shown this once:\n  {key}\nline of the file of keys:\n  {line}\n");
        return answer(global, &json!({"key": key, "line": line}), &text);
    }
    refuse_unused(&[("--json", global.json && !args.check)], "is for --check and --new-key")?;
    let keys = args.api_key_file.as_deref().map(Keys::read).transpose()?;
    // All that is wrong with the options is said before models are loaded, which may take long.
    let open = !args.host.is_loopback() && keys.is_none();
    let options = args.options(global, keys)?;
    options.check()?;
    let registry = Arc::new(Registry::open(&args.sources()?, &args.backend)?);
    let lines = registry.lines();
    if args.check {
        return answer(global, &json!({"models": lines}), &(lines.join("\n") + "\n"));
    }
    let workers = match options.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let server = Server::start(registry, options)?;
    let set = ptsm::core::instruction_set()?.name();
    let s = if workers == 1 { "" } else { "s" };
    remark(global, &format!("ptsm {}, {set}, {workers} worker{s}", env!("CARGO_PKG_VERSION")));
    lines.iter().for_each(|line| remark(global, line));
    if open {
        message(
            "anyone who reaches this address may use the models (--api-key-file asks for keys)",
        );
    }
    let page = if args.no_page { "" } else { "page, " };
    remark(global, &format!("http://{} ({page}v1, v2, gRPC, KServe, granite)", server.address()));
    server.wait()
}

impl Args {
    fn sources(&self) -> Result<Vec<ModelSource>> {
        match &self.folder {
            Some(folder) => ModelSource::of_folder(folder),
            None => self.model.iter().map(|text| ModelSource::parse(text)).collect(),
        }
    }

    fn options(&self, global: &Global, keys: Option<Keys>) -> Result<Options> {
        let (given, mut limits) = (&self.limits, Limits::default());
        let bodies = given.max_bodies_mib.unwrap_or(256.max(given.max_body_mib)) as u64;
        let longest = limits.longest_timeout.as_millis() as u64;
        for (name, number, range) in [
            ("max_batch_windows", given.max_batch_windows as u64, 1..=1 << 20),
            ("max_queue_windows", given.max_queue_windows as u64, 1..=1 << 20),
            ("max_body_mib", given.max_body_mib as u64, 1..=1 << 20),
            ("max_bodies_mib", bodies, given.max_body_mib as u64..=1 << 20),
            ("max_connections", given.max_connections as u64, 1..=1 << 20),
            ("default_timeout_ms", given.default_timeout_ms, 1..=longest),
            ("drain_delay", given.drain_delay, 0..=DAY),
            ("exit_timeout", given.exit_timeout, 0..=DAY),
        ] {
            if !range.contains(&number) {
                let (least, most) = range.into_inner();
                return Err(Error::config(
                    name,
                    format!("{number} must be from {least} to {most}"),
                ));
            }
        }
        limits.batch_windows = given.max_batch_windows;
        limits.queue_windows = given.max_queue_windows;
        limits.default_timeout = Duration::from_millis(given.default_timeout_ms);
        limits.body_bytes = given.max_body_mib << 20;
        limits.bodies_bytes = (bodies as usize) << 20;
        limits.connections = given.max_connections;
        Ok(Options {
            host: self.host,
            port: self.port,
            limits,
            workers: self.workers,
            keys,
            allow_reload: self.allow_reload,
            drain_delay: Duration::from_secs(given.drain_delay),
            exit_timeout: Duration::from_secs(given.exit_timeout),
            log: !global.quiet,
            page: !self.no_page,
        })
    }
}
