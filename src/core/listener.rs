//! A socket that waits for clients. It is no connection: `accept` gives a new socket for each client, and the listener goes on.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use socket2::{Domain, Protocol, Socket};

use super::connect::{kind, set_buffers};
use super::connection::{Asked, Connection, Driver};
use super::ended::{Ended, HowEnded};
use super::error::{Error, Result};
use super::gate::{Gate, Shut};
use super::ports;
use super::readiness::Readiness;
use super::reason::{self, Call};
use super::record::{self, Whose};
use super::resolve::resolve;
use super::state::TcpState;
use super::sys::{self, Interest};
use super::wait::{Patience, SharedTimeout, Stop, Timeout, Uninterrupted, Wait};

/// What a listener asks for.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Connections that may wait to be accepted; the kernel caps it (listen(2), somaxconn).
    pub backlog: i32,
    /// On an IPv6 address: serve IPv4 clients too, as ::ffff:a.b.c.d (ipv6(7), IPV6_V6ONLY off).
    pub dual_stack: bool,
    /// SO_REUSEADDR: bind although old connections of this port rest in TIME_WAIT. On Windows that would let a second listener steal the
    /// port, so there it is never set.
    pub reuse_addr: bool,
    /// Kernel buffer sizes, which accepted connections inherit.
    pub asked: Asked,
    /// The timeout of `accept`, and of accepted connections.
    pub timeout: Timeout,
}

impl Default for Listening {
    fn default() -> Self {
        Self { backlog: 128, dual_stack: false, reuse_addr: true, asked: Asked::default(), timeout: Timeout::Forever }
    }
}

/// The key of a listener at its server: no client's.
const LISTENER_KEY: u32 = u32::MAX;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    gate: Gate,
    local: SocketAddr,
    asked: Asked,
    timeout: SharedTimeout,
    accepted: AtomicU64,
    ended: HowEnded,
    /// The server that accepts from it, if one does.
    served: OnceLock<Weak<dyn Driver>>,
    number: u32,
}

impl Listener {
    /// Binds to the first address of `host` that can be had, and listens. Port 0 is any free one.
    ///
    /// # Errors
    /// [`Error::InUse`], the kernel's, or [`Error::Name`].
    pub fn bind(host: &str, port: u16, listening: &Listening, wait: &mut Wait<'_>) -> Result<Self> {
        let mut result = Err(Error::Name { code: 0, message: format!("the name {host:?} has no address to listen on") });
        for at in resolve(host, port, wait)? {
            let call = record::Call::begin();
            result = Self::bind_to(at, listening);
            if let Some(call) = call {
                record::note(|notes| notes.after = result.as_ref().ok().map(|_| TcpState::LISTEN));
                let whose = result.as_ref().map_or_else(|_| Whose { socket: record::number(), local: Some(at), peer: None }, Self::whose);
                call.end("listen", whose, result.as_ref().err());
            }
            // An address of the name that is taken is the answer; one that this machine lacks, such as ::1 without IPv6, is passed over.
            if matches!(result, Ok(_) | Err(Error::InUse { .. })) {
                break;
            }
        }
        result
    }

    fn bind_to(at: SocketAddr, listening: &Listening) -> Result<Self> {
        if listening.dual_stack && at.ip() != Ipv6Addr::UNSPECIFIED {
            return Err(Error::Invalid(format!(
                "dual_stack serves IPv4 and IPv6 clients on one socket, which only the host \"::\" can do; {} is one address of one family",
                at.ip()
            )));
        }
        let failed = |error: io::Error| reason::bind_failed(reason::LISTEN, at, Some(listening.reuse_addr), &error);
        let socket = prepare(at, listening).map_err(failed)?;
        socket.bind(&at.into()).map_err(failed)?;
        socket.listen(listening.backlog).map_err(failed)?;
        let local = local_of(&socket).map_err(failed)?;
        Ok(Self::new(socket, local, listening.asked, listening.timeout))
    }

    fn new(socket: Socket, local: SocketAddr, asked: Asked, timeout: Timeout) -> Self {
        Self {
            gate: Gate::new(socket),
            local,
            asked,
            timeout: SharedTimeout::new(timeout),
            accepted: AtomicU64::new(0),
            ended: HowEnded::default(),
            served: OnceLock::new(),
            number: record::number(),
        }
    }

    /// The address of any listening TCP socket.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not listen.
    pub fn address_of(socket: &Socket) -> Result<SocketAddr> {
        let address = || {
            if !sys::is_listener(socket)? {
                return Err(io::Error::new(ErrorKind::InvalidInput, "this one does not listen; call its listen() first"));
            }
            local_of(socket)
        };
        address().map_err(|error| Error::Invalid(format!("a Listener is made from a listening TCP socket: {}", reason::plain(&error))))
    }

    /// Takes over a listening TCP socket and makes it non-blocking.
    ///
    /// # Errors
    /// As [`address_of`](Self::address_of); the socket is closed then.
    pub fn from_socket(socket: Socket, timeout: Timeout) -> Result<Self> {
        let local = Self::address_of(&socket)?;
        socket.set_nonblocking(true).map_err(|error| reason::os(&error, "from_socket", ""))?;
        Ok(Self::new(socket, local, Asked::default(), timeout))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How long `accept` waits unless it says otherwise.
    pub fn timeout(&self) -> Timeout {
        self.timeout.get()
    }

    /// Sets [`timeout`](Self::timeout), for accepted connections too.
    pub fn set_timeout(&self, timeout: Timeout) {
        self.timeout.set(timeout);
    }

    /// Connections accepted over its life.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// The next client, as a socket of its own (accept(2)). A client that was gone again before it was accepted is passed over.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::TimedOut`], [`Error::WouldBlock`], or the kernel's, such as EMFILE.
    pub fn accept(&self, wait: &mut Wait<'_>) -> Result<Connection> {
        let call = record::Call::begin();
        let accepted = self.next_client("accept", wait);
        match call.or_else(record::Call::late) {
            Some(call) if accepted.as_ref().is_err_and(Error::is_try) => call.pause("accept", self.whose()),
            Some(call) => {
                record::note(|notes| notes.made = accepted.as_ref().ok().map(Connection::number));
                let peer = accepted.as_ref().ok().map(Connection::peer_addr);
                call.end("accept", Whose { peer, ..self.whose() }, accepted.as_ref().err());
            }
            None => {}
        }
        accepted
    }

    /// Its number among all sockets of this process.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whose calls its are.
    pub fn whose(&self) -> Whose {
        Whose { socket: self.number, local: Some(self.local), peer: None }
    }

    fn next_client(&self, doing: &'static str, wait: &mut Wait<'_>) -> Result<Connection> {
        let inside = self.gate.enter().ok_or_else(|| self.closed(doing))?;
        loop {
            sys::ensure_nonblocking(&inside).map_err(|error| self.failed(doing, &error))?;
            match sys::accept(&inside) {
                Ok((socket, peer)) => {
                    if let Some(connection) = self.welcome(socket, peer) {
                        return Ok(connection);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.gate.wait(&inside, Interest::Read, wait, None, &mut || false).map_err(|stop| self.stopped(doing, stop, wait))?;
                }
                // ECONNABORTED and, says accept(2), errors of the new connection's network: the next client may be well.
                Err(error) if sys::is_about_the_client(&error) => {}
                Err(error) => return Err(self.failed(doing, &error)),
            }
        }
    }

    /// The next client if one waits, without the wait.
    pub(super) fn accept_now(&self) -> io::Result<Option<Connection>> {
        let inside = self.gate.enter().ok_or(ErrorKind::NotConnected)?;
        loop {
            match sys::accept(&inside) {
                Ok((socket, peer)) => {
                    if let Some(connection) = self.welcome(socket, peer) {
                        if let Some(call) = record::Call::begin() {
                            record::note(|notes| notes.made = Some(connection.number()));
                            call.end("server accept", Whose { peer: Some(connection.peer_addr()), ..self.whose() }, None);
                        }
                        return Ok(Some(connection));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if sys::is_about_the_client(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket of the next client if one waits, for a relay: nobody here reads it or writes to it. A client that is gone already is passed over.
    pub(super) fn take_now(&self) -> io::Result<Option<(Socket, SocketAddr)>> {
        let inside = self.gate.enter().ok_or(ErrorKind::NotConnected)?;
        loop {
            match sys::accept(&inside) {
                Ok((socket, Some(peer))) => {
                    self.accepted.fetch_add(1, Relaxed);
                    return Ok(Some((socket, peer)));
                }
                Ok((_, None)) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if sys::is_about_the_client(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for one event, to be told to an event loop, when a client may have come; gives the key. `None` once closed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask(&self, readiness: &Arc<Readiness>) -> Result<Option<u32>> {
        self.gate.ask(readiness, Interest::Read, false).map_err(|error| self.failed("accept", &error))
    }

    /// Makes the connection; `None` for a client that is gone already, so far that it has no address any more.
    fn welcome(&self, socket: Socket, peer: Option<SocketAddr>) -> Option<Connection> {
        // A listener on one address has told where its clients arrive; one on all of them has not.
        let local = if self.local.ip().is_unspecified() { local_of(&socket).ok()? } else { self.local };
        self.accepted.fetch_add(1, Relaxed);
        Some(Connection::new(socket, local, peer?, self.asked, self.timeout()))
    }

    /// (connections that wait to be accepted, the limit); a Linux queue of limit n holds n + 1.
    ///
    /// # Errors
    /// [`Error::Closed`], the kernel's, or [`Error::Unsupported`] where the system does not tell.
    pub fn backlog(&self) -> Result<(u32, u32)> {
        self.with_socket("backlog", sys::accept_queue)?
            .ok_or_else(|| Error::Unsupported("backlog: this system does not tell how many clients wait in a listener's queue".into()))
    }

    /// [`TcpState::LISTEN`], as the kernel has it; [`TcpState::CLOSED`] or what else holds the port once this program has closed it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn state(&self) -> Result<Option<TcpState>> {
        if self.is_closed() {
            return Ok(ports::listener_state(self.local));
        }
        self.with_socket("state", sys::tcp_state)
    }

    /// Whether this program has closed or detached it.
    pub fn is_closed(&self) -> bool {
        !self.gate.is_open()
    }

    /// Runs `work` with the socket, which cannot be closed meanwhile. `work` must not wait.
    ///
    /// # Errors
    /// [`Error::Closed`], or the kernel's error in words.
    pub fn with_socket<T>(&self, doing: &'static str, work: impl FnOnce(&Socket) -> io::Result<T>) -> Result<T> {
        let inside = self.gate.enter().ok_or_else(|| self.closed(doing))?;
        work(&inside).map_err(|error| self.failed(doing, &error))
    }

    /// getsockopt(2): the option's bytes, at most `size`.
    ///
    /// # Errors
    /// As [`with_socket`](Self::with_socket).
    pub fn getsockopt(&self, level: i32, option: i32, size: usize) -> Result<Vec<u8>> {
        self.with_socket("getsockopt", |socket| sys::getsockopt(socket, level, option, size)).map_err(reason::of_option(level, option))
    }

    /// setsockopt(2).
    ///
    /// # Errors
    /// As [`with_socket`](Self::with_socket).
    pub fn setsockopt(&self, level: i32, option: i32, value: &[u8]) -> Result<()> {
        self.with_socket("setsockopt", |socket| sys::setsockopt(socket, level, option, value)).map_err(reason::of_option(level, option))
    }

    /// Stops listening: wakes every waiter with [`Error::Closed`], waits until they have left, and gives the port back. Clients that were not
    /// accepted are reset; accepted connections live on. Closing twice does nothing.
    pub fn close(&self, patience: &mut dyn Patience) {
        if !self.is_closed() {
            self.ended.set(Ended::Closed);
        }
        let call = record::Call::begin();
        let shut = self.gate.shut(patience);
        let was_open = shut.is_some();
        if let (Some(server), Some(Some(socket)), false) =
            (self.served.get().and_then(Weak::upgrade), shut.as_deref(), self.gate.is_inherited())
        {
            server.leaves(LISTENER_KEY, socket);
        }
        drop(shut);
        match call.or_else(record::Call::late) {
            Some(call) if was_open => {
                record::note(|notes| notes.before = Some(TcpState::LISTEN));
                call.end("close", self.whose(), None);
            }
            Some(call) => call.forget(),
            None => {}
        }
    }

    /// Gives the socket away, still listening. Waiters are woken with [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn detach(&self, doing: &str, patience: &mut dyn Patience) -> Result<Socket> {
        if self.served.get().is_some_and(|server| server.strong_count() > 0) && !self.is_closed() {
            return Err(Error::Driven(format!("{doing}: a server accepts from {self}; stop the server first")));
        }
        if !self.is_closed() {
            self.ended.set(Ended::Detached);
        }
        self.gate.shut(patience).and_then(Shut::take).ok_or_else(|| self.closed(doing))
    }

    /// Marks it as a server's.
    pub(super) fn is_served_by(&self, server: Weak<dyn Driver>) {
        let _one_server_at_a_time = self.served.set(server);
    }

    fn closed(&self, doing: &str) -> Error {
        let how = self.ended.word();
        Error::Closed(format!("{doing}: {self} was {how} by this program"))
    }

    fn failed(&self, doing: &'static str, error: &io::Error) -> Error {
        if sys::is_out_of_descriptors(error) {
            let why =
                "this program may not open more files and sockets; close some, or raise the limit (ulimit -n). The client still waits";
            return reason::os(error, &format!("{doing} on {self}"), why);
        }
        reason::failed(&Call { doing, who: &self.to_string() }, error)
    }

    fn stopped(&self, doing: &'static str, stop: Stop, wait: &Wait<'_>) -> Error {
        match stop {
            Stop::WouldBlock if wait.deadline.is_attempt() => Error::WouldBlock(String::new()),
            Stop::Closed => self.closed(doing),
            Stop::Os(error) => self.failed(doing, &error),
            stop => reason::stopped(&Call { doing, who: &self.to_string() }, &stop, wait.deadline.timeout()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close(&mut Uninterrupted);
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener {}", self.local)
    }
}

fn local_of(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it is not an IPv4 or IPv6 socket"))
}

fn prepare(at: SocketAddr, listening: &Listening) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind(), Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    socket.set_reuse_address(listening.reuse_addr)?;
    #[cfg(windows)]
    sys::set_exclusive(&socket)?;
    if at.is_ipv6() {
        socket.set_only_v6(!listening.dual_stack)?;
    }
    // Before listen, so that the window offered in the handshake fits (tcp(7)).
    set_buffers(&socket, &listening.asked)?;
    Ok(socket)
}
