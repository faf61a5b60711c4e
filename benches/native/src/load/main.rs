//! The load: one thread that keeps a server busy, and compares every byte that comes back with what has to come back.
//!
//! `load MODE ADDRESS [--connections N] [--seconds S] [--warmup S] [--window BYTES] [--server PID]... [--counter FILE]` prints
//! one line of JSON; whatever is wrong ends it with a message and exit status 1. The modes:
//!
//! - `echo`: a message of 64 bytes on each connection, and the next one when it has come back
//! - `lines`, `bulk`: a stream on each connection, with up to a window of bytes on their way; lines of 32 bytes, or random bytes
//! - `discard`: a stream out; the end is when the server has seen all of it
//! - `chat`: lines that all the others have to hear, each in its order, `window` lines of each client on their way
//! - `lives`: connect, one byte there and back, close; `connections` lives at a time
//! - `idle`: one message there and back on each connection, then silence until standard input ends

mod chat;
mod lives;
mod meter;
mod options;
mod streams;
mod trips;

use std::io::{self, Write};
use std::process::{ExitCode, exit};
use std::thread;
use std::time::Duration;

use meter::Meter;
use options::Options;

/// How long a server may be silent beyond the time that was asked for.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(why: &str) -> ExitCode {
    // With nobody to read it, the exit status has to do.
    drop(writeln!(io::stderr(), "load: {why}"));
    ExitCode::FAILURE
}

fn run() -> io::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.mode == "idle" {
        return trips::idle(&options);
    }
    // One watch over the whole run, instead of a deadline at each call, which would cost a call of its own.
    let limit = options.warmup + options.seconds + PATIENCE;
    thread::spawn(move || {
        thread::sleep(limit);
        complain(&format!("not done after {} s: the server does not answer", limit.as_secs()));
        exit(1);
    });
    let mut meter = Meter::new(&options);
    match options.mode.as_str() {
        "echo" => trips::run(&options, &mut meter),
        "lines" => streams::run(&options, &mut meter, &streams::lines()),
        "bulk" => streams::run(&options, &mut meter, &streams::bulk()),
        "discard" => streams::discard(&options, &mut meter, &streams::bulk()),
        "chat" => chat::run(&options, &mut meter),
        "lives" => lives::run(&options, &mut meter),
        other => Err(io::Error::other(format!("no mode is called {other:?}"))),
    }?;
    meter.report(&options.mode)
}

/// What is said of a byte that should not be there.
fn wrong(what: &str, connection: usize) -> io::Error {
    io::Error::other(format!("connection {connection}: {what}"))
}
