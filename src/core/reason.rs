//! The kernel's error numbers in words: what was tried, what it means, what to do next. Pure functions of an error and a description.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::error::Error;
use super::wait::{Stop, Timeout};

/// What failed, for whom.
pub(super) struct Call<'a> {
    /// The call's name.
    pub(super) doing: &'a str,
    /// The object, as it prints.
    pub(super) who: &'a str,
}

/// Whether the error ends the connection, and the kernel tells it only once.
pub(super) fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}

/// A call on a socket failed.
pub(super) fn failed(call: &Call<'_>, error: &io::Error) -> Error {
    let why = match error.kind() {
        ErrorKind::ConnectionReset => {
            "the peer sent RST: it aborted, it closed with bytes unread, its program ended, or its listener closed before it accepted. This is not \
             an end of stream"
        }
        ErrorKind::BrokenPipe => "nothing more can be sent: the connection is over, or this side has finished with shutdown(\"send\")",
        ErrorKind::NotConnected => "there is no connection (any more); see .state",
        ErrorKind::ConnectionRefused => "nothing listens there",
        ErrorKind::TimedOut => "the peer answered nothing for too long, and the kernel gave the connection up",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no way to the peer any more",
        _ => "",
    };
    os(error, &format!("{} on {}", call.doing, call.who), why)
}

/// Says which option a failed getsockopt or setsockopt was about.
pub(super) fn of_option(level: i32, option: i32) -> impl FnOnce(Error) -> Error {
    move |error| error.and(&format!(" (option {option} of level {level})"))
}

/// A wait ended without what it waited for.
pub(super) fn stopped(call: &Call<'_>, stop: &Stop, timeout: Timeout) -> Error {
    let Call { doing, who } = call;
    match stop {
        Stop::WouldBlock => Error::WouldBlock(format!("{doing} on {who} would have to wait, and its timeout is 0; nothing was lost")),
        Stop::TimedOut => {
            let seconds = timeout.as_secs().unwrap_or(f64::INFINITY);
            let why = match *doing {
                "accept" => "no client connected",
                "send" | "sendall" | "send_frame" => {
                    "the send buffer was full: the peer reads more slowly than this side sends, or not at all"
                }
                "wait_connected" => "no answer to the SYN; the attempt goes on",
                _ => "nothing came",
            };
            Error::TimedOut(format!("{doing} on {who} timed out after {seconds} s: {why}"))
        }
        Stop::Interrupted => Error::Interrupted,
        Stop::Reentered => Error::Reentered(format!(
            "{doing} on {who}: this thread is in the middle of such a call already, which a signal handler interrupted; let the handler only \
             set a flag, raise or close()"
        )),
        Stop::Awaited => Error::Reentered(format!(
            "{doing} on {who}: an awaited send of this thread's event loop is not done yet, and cannot go on while this call waits for its turn; \
             await conn.aio.{doing}(...) here too"
        )),
        Stop::Closed => Error::Closed(format!("{doing}: {who} was closed by this program")),
        Stop::Os(error) => failed(call, error),
    }
}

/// A connection attempt failed.
pub(super) fn connect_failed(to: SocketAddr, error: &io::Error) -> Error {
    os(error, &format!("connect to {to}"), connect_why(error))
}

/// Why, in a sentence, without the kernel's own words.
fn connect_why(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            "the host answered with RST: nothing listens there. Check address and port, and start the server first"
        }
        ErrorKind::TimedOut => "no answer to the SYN: the host is away, a firewall drops it, or the listener's backlog is full",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no route to that address",
        ErrorKind::AddrNotAvailable => "no local port is left for this target, or these two endpoints are in use already",
        ErrorKind::PermissionDenied => "a firewall on this machine forbids it, or it is a broadcast address",
        ErrorKind::InvalidInput => "this source address cannot reach that target: a loopback address talks to loopback only",
        _ => "",
    }
}

/// What a listener does with its address, in messages.
pub(super) const LISTEN: &str = "listen on";

/// An address could not be had: for listening, with or without `reuse_addr`, or as a client's source.
pub(super) fn bind_failed(doing: &str, at: SocketAddr, reuse_addr: Option<bool>, error: &io::Error) -> Error {
    let why = match error.kind() {
        ErrorKind::AddrInUse => {
            let why = match (at.port(), doing) {
                (0, _) => "no port is free any more: all that the kernel may choose from (ip(7): ip_local_port_range) are in use",
                // What follows says what has it, which need not be a listener.
                (_, LISTEN) => "",
                _ => "this address and port is taken; use another source port, or none",
            };
            let message = words(error, &format!("{doing} {at}"), why);
            return Error::InUse { code: error.raw_os_error().unwrap_or(0), message, at, reuse_addr };
        }
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address. 127.0.0.1 is this machine for itself; 0.0.0.0 is all its IPv4 interfaces".into()
        }
        ErrorKind::PermissionDenied => {
            format!(
                "port {} is one of those below 1024, which are for privileged programs (ip(7): ip_unprivileged_port_start); choose 1024 or above",
                at.port()
            )
        }
        _ => String::new(),
    };
    os(error, &format!("{doing} {at}"), &why)
}

/// Any system error, with what was tried and a sentence of why (which may be empty).
pub(super) fn os(error: &io::Error, doing: &str, why: &str) -> Error {
    if error.kind() == ErrorKind::OutOfMemory {
        return Error::Memory(format!("{doing}: there is no memory for more bytes; those that have come are still in the input buffer"));
    }
    let message = words(error, doing, why);
    match error.raw_os_error() {
        Some(code) => Error::Os { code, message },
        None => Error::Invalid(message),
    }
}

fn words(error: &io::Error, doing: &str, why: &str) -> String {
    let mut message = format!("{}: {doing}", plain(error));
    if !why.is_empty() {
        let _infallible = write!(message, ": {why}");
    }
    message
}

/// The kernel's words without the number that Python shows in front anyway.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_target_and_the_next_step() {
        let error = connect_failed("127.0.0.1:6666".parse().unwrap(), &io::Error::from_raw_os_error(libc_code()));
        let message = error.to_string();
        assert!(message.contains("connect to 127.0.0.1:6666") && message.contains("start the server first"), "{message}");
        assert!(!message.contains("os error"), "{message}");
    }

    fn libc_code() -> i32 {
        // A port that nobody listens on gives this platform's number.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::net::TcpStream::connect(free).unwrap_err().raw_os_error().unwrap()
    }

    #[test]
    fn a_timeout_says_how_long_and_why() {
        let call = Call { doing: "accept", who: "Listener 127.0.0.1:6666" };
        let message = stopped(&call, &Stop::TimedOut, Timeout::from_secs(0.5).unwrap()).to_string();
        assert_eq!(message, "accept on Listener 127.0.0.1:6666 timed out after 0.5 s: no client connected");
    }
}
