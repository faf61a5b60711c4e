//! Making connections: every address of a host in turn, and a pair of connected ends.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::connection::{Asked, Connection};
use super::error::{Error, Result};
use super::gate::{Gate, Shut};
use super::listener::{Listener, Listening};
use super::reason;
use super::record::{self, Whose};
use super::resolve::resolve;
use super::sys::{self, Interest};
use super::wait::{Stop, Timeout, Wait};

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The address to connect from; a port of 0 is chosen by the kernel.
    pub source: Option<(String, u16)>,
    /// Kernel buffer sizes, set before the connection is made.
    pub asked: Asked,
    /// The connection's timeout once it is made.
    pub timeout: Timeout,
    /// Whether to wait until the handshake is over.
    pub wait: bool,
}

impl Default for Opening {
    fn default() -> Self {
        Self { source: None, asked: Asked::default(), timeout: Timeout::Forever, wait: true }
    }
}

/// Connects to the first address of `host` that accepts (connect(2)).
///
/// # Errors
/// [`Error::Name`]; the last attempt's error, with all attempts in its message; [`Error::TimedOut`] when the deadline passes, which is one
/// for all attempts.
pub fn connect(host: &str, port: u16, opening: &Opening, wait: &mut Wait<'_>) -> Result<Connection> {
    check_port(port)?;
    let targets = resolve(host, port, wait)?;
    let sources = match &opening.source {
        Some((host, port)) => resolve(host, *port, wait)?,
        None => Vec::new(),
    };
    let mut attempts = Attempts::new(host, port, targets, sources);
    while let Some((target, source)) = attempts.next() {
        match attempt(target, source, opening, wait) {
            Ok(connection) => return Ok(connection),
            // Neither the caller's wish to stop nor the deadline is about this address alone.
            Err(error @ Error::Interrupted) => return Err(error),
            Err(error @ (Error::TimedOut(_) | Error::WouldBlock(_))) => {
                attempts.failed(target, error);
                break;
            }
            Err(error) => attempts.failed(target, error),
        }
    }
    Err(attempts.error())
}

/// # Errors
/// [`Error::Invalid`] for the port that is none.
pub(super) fn check_port(port: u16) -> Result<()> {
    if port == 0 {
        return Err(Error::Invalid("port 0 cannot be connected to: it only means \"any free port\" to a listener".into()));
    }
    Ok(())
}

/// The addresses of a host, one after the other, and what became of each.
#[derive(Debug)]
pub(super) struct Attempts {
    host: String,
    port: u16,
    targets: std::vec::IntoIter<SocketAddr>,
    sources: Vec<SocketAddr>,
    outcomes: Vec<(SocketAddr, Error)>,
}

impl Attempts {
    pub(super) fn new(host: &str, port: u16, targets: Vec<SocketAddr>, sources: Vec<SocketAddr>) -> Self {
        Self { host: host.to_owned(), port, targets: targets.into_iter(), sources, outcomes: Vec::new() }
    }

    /// The next target, and the source of its family if there are sources.
    pub(super) fn next(&mut self) -> Option<(SocketAddr, Option<SocketAddr>)> {
        loop {
            let target = self.targets.next()?;
            let source = self.sources.iter().find(|source| source.is_ipv4() == target.is_ipv4()).copied();
            match self.sources.first() {
                Some(&first) if source.is_none() => self.failed(target, wrong_family(target, first)),
                _ => return Some((target, source)),
            }
        }
    }

    /// Remembers why an attempt failed.
    pub(super) fn failed(&mut self, target: SocketAddr, error: Error) {
        self.outcomes.push((target, error));
    }

    /// One error for all attempts: the last that reached the network, with the outcomes of the others.
    pub(super) fn error(&mut self) -> Error {
        let (host, port) = (&self.host, self.port);
        let outcomes = &mut self.outcomes;
        let tried = outcomes.iter().rposition(|(_, error)| !matches!(error, Error::Invalid(_)));
        let main = tried.unwrap_or(outcomes.len().saturating_sub(1));
        if outcomes.is_empty() {
            return Error::Name { code: 0, message: format!("the name {host:?} has no address for a TCP connection") };
        }
        let (_, error) = outcomes.remove(main);
        if outcomes.is_empty() {
            return error;
        }
        let mut others = format!(" [{host}:{port} has {} addresses; the other outcomes:", outcomes.len() + 1);
        for (index, (target, error)) in outcomes.iter().enumerate() {
            let words = error.to_string();
            let outcome = if matches!(error, Error::Invalid(_)) { &words } else { words.split(": ").next().unwrap_or(&words) };
            let _infallible = write!(others, "{} {target}: {outcome}", if index == 0 { "" } else { ";" });
        }
        others.push(']');
        error.and(&others)
    }
}

fn wrong_family(target: SocketAddr, source: SocketAddr) -> Error {
    Error::Invalid(format!(
        "the source {source} is of the other address family than the target {target}; give a source of the target's own, IPv4 or IPv6"
    ))
}

/// The time was over before the handshake was, or there was none.
pub(super) fn unfinished(target: SocketAddr, stop: &Stop, timeout: Timeout) -> Error {
    match stop {
        Stop::TimedOut => Error::TimedOut(format!(
            "connect to {target} timed out after {} s: no answer to the SYN. The host is away, a firewall drops it, or the listener's backlog is full",
            timeout.as_secs().unwrap_or(f64::INFINITY)
        )),
        _ => Error::WouldBlock(format!(
            "connect to {target} would have to wait, and its timeout is 0; connect(…, wait=False) gives the connection while it is being made"
        )),
    }
}

/// One attempt, which a recording is told of.
pub(super) fn attempt(target: SocketAddr, source: Option<SocketAddr>, opening: &Opening, wait: &mut Wait<'_>) -> Result<Connection> {
    let call = record::Call::begin();
    let result = try_once(target, source, opening, wait);
    if let Some(call) = call.or_else(record::Call::late) {
        let whose = match &result {
            Ok(connection) => {
                let state = connection.with_socket("connect", sys::tcp_state).ok().flatten();
                record::note(|notes| notes.after = state);
                connection.whose()
            }
            Err(_) => Whose { socket: record::number(), local: None, peer: Some(target) },
        };
        call.end("connect", whose, result.as_ref().err());
    }
    result
}

fn try_once(target: SocketAddr, source: Option<SocketAddr>, opening: &Opening, wait: &mut Wait<'_>) -> Result<Connection> {
    let kernel = |error: io::Error| reason::connect_failed(target, &error);
    let socket = client(target, &opening.asked).map_err(kernel)?;
    if let Some(source) = source {
        // A client that names its port again soon after closing may have it, although the old pair rests in TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuse_address(true).map_err(kernel)?;
        socket.bind(&source.into()).map_err(|error| reason::bind_failed("connect from", source, None, &error))?;
    }
    let under_way = match socket.connect(&target.into()) {
        Ok(()) => false,
        Err(error) if in_progress(&error) => true,
        Err(error) if source.is_some() && error.kind() == ErrorKind::AddrNotAvailable => {
            let at = source.unwrap_or(target);
            return Err(reason::os(
                &error,
                &format!("connect from {at} to {target}"),
                "these two endpoints were connected a moment ago and rest in TIME_WAIT, or are connected now; use another source port",
            ));
        }
        Err(error) => return Err(kernel(error)),
    };
    if under_way && opening.wait {
        return finish(socket, target, source, opening, wait);
    }
    let connection = made(socket, target, source, opening)?;
    Ok(if under_way { connection.still_connecting() } else { connection })
}

fn client(target: SocketAddr, asked: &Asked) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), kind(), Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    set_buffers(&socket, asked)?;
    Ok(socket)
}

/// A stream socket, non-blocking from the start where the system can do that in one call.
pub(super) fn kind() -> Type {
    #[cfg(target_os = "linux")]
    return Type::STREAM.nonblocking();
    #[cfg(not(target_os = "linux"))]
    return Type::STREAM;
}

pub(super) fn set_buffers(socket: &Socket, asked: &Asked) -> io::Result<()> {
    if let Some(size) = asked.recv_buffer {
        socket.set_recv_buffer_size(size.get() as usize)?;
    }
    if let Some(size) = asked.send_buffer {
        socket.set_send_buffer_size(size.get() as usize)?;
    }
    Ok(())
}

/// Whether a connection is being made.
pub(super) fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    return error.kind() == ErrorKind::WouldBlock;
}

/// Waits for the end of the handshake.
fn finish(socket: Socket, target: SocketAddr, source: Option<SocketAddr>, opening: &Opening, wait: &mut Wait<'_>) -> Result<Connection> {
    let gate = Gate::new(socket);
    {
        let inside = gate.enter().ok_or_else(|| Error::Closed(format!("connect to {target}: closed meanwhile")))?;
        let failed = |error: io::Error| reason::connect_failed(target, &error);
        loop {
            gate.wait(&inside, Interest::Write, wait, None, &mut || false).map_err(|stop| match stop {
                Stop::Os(error) => reason::connect_failed(target, &error),
                Stop::Interrupted => Error::Interrupted,
                stop => unfinished(target, &stop, wait.deadline.timeout()),
            })?;
            if let Some(error) = inside.take_error().map_err(failed)? {
                return Err(failed(error));
            }
            // A wake-up that was meant for an earlier wait of this thread finds neither an error nor a peer.
            if inside.peer_addr().is_ok() {
                break;
            }
        }
    }
    match gate.shut(wait.patience).and_then(Shut::take) {
        Some(socket) => made(socket, target, source, opening),
        None => Err(Error::Closed(format!("connect to {target}: closed meanwhile"))),
    }
}

fn made(socket: Socket, target: SocketAddr, source: Option<SocketAddr>, opening: &Opening) -> Result<Connection> {
    let local = socket
        .local_addr()
        .map_err(|error| reason::connect_failed(target, &error))?
        .as_socket()
        .ok_or_else(|| Error::Invalid(format!("connect to {target}: the kernel gave no IP address")))?;
    // To connect to 0.0.0.0 or :: is to connect to this machine; the kernel knows the address it took.
    let peer =
        if target.ip().is_unspecified() { socket.peer_addr().ok().and_then(|peer| peer.as_socket()).unwrap_or(target) } else { target };
    if local == peer && source.is_none_or(|source| source.port() == 0) {
        // The kernel chose the very port that was asked for, and TCP's simultaneous open (RFC 9293 section 3.5) connected the socket to
        // itself. Nobody listens there. Ended by RST it leaves no TIME_WAIT, which would keep the port from the server to come.
        let _or_time_wait = socket.set_linger(Some(Duration::ZERO));
        let refused = io::Error::from_raw_os_error(REFUSED);
        return Err(reason::connect_failed(target, &refused));
    }
    Ok(Connection::new(socket, local, peer, opening.asked, opening.timeout))
}

#[cfg(unix)]
const REFUSED: i32 = libc::ECONNREFUSED;
#[cfg(windows)]
const REFUSED: i32 = windows_sys::Win32::Networking::WinSock::WSAECONNREFUSED;

/// Two connected ends on loopback, (client, server): for experiments and tests.
///
/// # Errors
/// The kernel's, or what ended the wait.
pub fn pair(opening: &Opening, wait: &mut Wait<'_>) -> Result<(Connection, Connection)> {
    let listening = Listening { asked: opening.asked, timeout: opening.timeout, ..Listening::default() };
    let listener = Listener::bind("127.0.0.1", 0, &listening, wait)?;
    let client = connect("127.0.0.1", listener.local_addr().port(), opening, wait)?;
    let mut accept = Wait::new(Timeout::After(Duration::from_secs(10)), wait.patience);
    loop {
        let server = listener.accept(&mut accept)?;
        // Another program may have been faster on this port; it is not our other end.
        if server.peer_addr() == client.local_addr() {
            return Ok((client, server));
        }
    }
}
