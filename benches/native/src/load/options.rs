//! The command line. Nothing is opened here.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What to do, for how long, and whom to watch meanwhile.
pub(crate) struct Options {
    pub(crate) mode: String,
    pub(crate) server: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) seconds: Duration,
    pub(crate) warmup: Duration,
    pub(crate) window: usize,
    pub(crate) watched: Vec<i32>,
    pub(crate) counter: Option<PathBuf>,
}

impl Options {
    /// Reads them; each option at most once, except `--server`.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> io::Result<Self> {
        let mode = words.next().ok_or_else(|| io::Error::other("which mode?"))?;
        let mut options = Self {
            server: parsed("ADDRESS", words.next())?,
            connections: 100,
            seconds: Duration::from_millis(500),
            warmup: Duration::from_millis(50),
            window: if mode == "chat" { 1 } else { 128 * 1024 },
            watched: Vec::new(),
            counter: None,
            mode,
        };
        while let Some(name) = words.next() {
            let value = words.next();
            match name.as_str() {
                "--connections" => options.connections = parsed(&name, value)?,
                "--seconds" => options.seconds = seconds(&name, value)?,
                "--warmup" => options.warmup = seconds(&name, value)?,
                "--window" => options.window = parsed(&name, value)?,
                "--server" => options.watched.push(parsed(&name, value)?),
                "--counter" => options.counter = Some(parsed(&name, value)?),
                other => return Err(io::Error::other(format!("no option is called {other}"))),
            }
        }
        if options.connections == 0 || options.window == 0 {
            return Err(io::Error::other("--connections and --window must be at least 1"));
        }
        Ok(options)
    }
}

fn parsed<T: FromStr>(name: &str, value: Option<String>) -> io::Result<T> {
    let value = value.ok_or_else(|| io::Error::other(format!("{name} needs a value")))?;
    value.parse().map_err(|_| io::Error::other(format!("{name}: {value:?} is not understood")))
}

fn seconds(name: &str, value: Option<String>) -> io::Result<Duration> {
    Duration::try_from_secs_f64(parsed(name, value)?).map_err(|why| io::Error::other(format!("{name}: {why}")))
}
