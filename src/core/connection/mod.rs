//! One end of a TCP connection. This file: what it is made of and how it ends. `reading` and `writing` move bytes, `looking` makes the
//! views, `options` sets and reads options.
//!
//! Two locks guard two directions, so that a reader and a writer never wait for each other. Each is held for a copy or for one
//! non-blocking system call, never while anybody sleeps. Who has to wait takes the direction's *turn* and sleeps without a lock;
//! others who come to read (or write) wait for the turn, so that frames come out whole.

mod assembly;
mod awaited;
mod direction;
mod driving;
mod filling;
mod halting;
mod looking;
mod marks;
mod options;
mod reading;
mod telling;
#[cfg(test)]
mod tests;
mod writing;

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use socket2::Socket;

use super::address::Endpoint;
use super::ended::{Ended, HowEnded};
use super::error::{Error, Result};
use super::gate::{Gate, Inside};
use super::reason::{self, Call};
use super::record;
use super::spin::Spin;
use super::state::TcpState;
use super::sys::{self, Interest};
use super::wait::{Patience, SharedTimeout, Stop, Timeout, Uninterrupted, Wait};
pub use awaited::OnItsWay;
use direction::{Direction, Reading, Writing};
pub use driving::WAITING_LIMIT;
pub(super) use driving::{Driven, Driver};
pub use reading::PUT_BACK_LIMIT;
use telling::Adopted;

/// What the program asked for before the kernel granted something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `recv_buffer`, in bytes.
    pub recv_buffer: Option<NonZeroU32>,
    /// `send_buffer`, in bytes.
    pub send_buffer: Option<NonZeroU32>,
}

/// One end of a TCP connection. A server may have ten thousand of them, so what most of them never need lies behind a pointer.
#[derive(Debug)]
pub struct Connection {
    gate: Gate,
    local: Endpoint,
    peer: Endpoint,
    asked: Asked,
    timeout: SharedTimeout,
    input: Direction<Reading>,
    output: Direction<Writing>,
    /// Learned from the waits for input.
    spin: Spin,
    /// The error that ended the connection, once a call has been told: the kernel tells it once and then reports an end of stream.
    broken: AtomicI32,
    /// Whether the handshake is still to be waited for.
    connecting: AtomicBool,
    /// Whether the connection was over when this program closed it, or ended by RST then: of such a one only an earlier TIME_WAIT can be left.
    left_nothing: AtomicBool,
    /// Whether this side has shut its receiving down: the end of the stream that it then reads is not the peer's.
    receiving_over: AtomicBool,
    /// How this program ended its use, once it did.
    ended: HowEnded,
    /// The server that reads it, if one does.
    driven: Option<Driven>,
    /// Its number among all sockets of this process.
    number: u32,
    adopted: Adopted,
}

impl Connection {
    /// Takes over a connected, non-blocking socket.
    pub fn new(socket: Socket, local: SocketAddr, peer: SocketAddr, asked: Asked, timeout: Timeout) -> Self {
        Self {
            gate: Gate::new(socket),
            local: local.into(),
            peer: peer.into(),
            asked,
            timeout: SharedTimeout::new(timeout),
            input: Direction::default(),
            output: Direction::default(),
            spin: Spin::default(),
            broken: AtomicI32::new(0),
            connecting: AtomicBool::new(false),
            left_nothing: AtomicBool::new(false),
            receiving_over: AtomicBool::new(false),
            ended: HowEnded::default(),
            driven: None,
            number: record::number(),
            adopted: None,
        }
    }

    /// Marks it as one whose handshake is still under way.
    pub(super) fn still_connecting(self) -> Self {
        self.connecting.store(true, Relaxed);
        self
    }

    /// The endpoints of any connected TCP socket.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is no such socket.
    pub fn ends_of(socket: &Socket) -> Result<(SocketAddr, SocketAddr)> {
        let ends = || {
            let refuse = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
            if socket.r#type()? != socket2::Type::STREAM {
                return Err(refuse("this is not a TCP (SOCK_STREAM) socket"));
            }
            let local = socket.local_addr()?.as_socket().ok_or_else(|| refuse("this is not an IPv4 or IPv6 socket"))?;
            let peer = socket.peer_addr()?.as_socket().ok_or_else(|| refuse("its peer has no IP address"))?;
            Ok((local, peer))
        };
        ends().map_err(|error| Error::Invalid(format!("a Connection is made from a connected TCP socket: {}", reason::plain(&error))))
    }

    /// Takes over a connected TCP socket and makes it non-blocking.
    ///
    /// # Errors
    /// As [`ends_of`](Self::ends_of); the socket is closed then.
    pub fn from_socket(socket: Socket, timeout: Timeout) -> Result<Self> {
        let (local, peer) = Self::ends_of(&socket)?;
        socket.set_nonblocking(true).map_err(|error| reason::os(&error, "from_socket", ""))?;
        let carried = telling::carried(&socket);
        let mut adopted = Self::new(socket, local, peer, Asked::default(), timeout);
        if carried != Some((0, 0)) {
            adopted.adopted = Some(Box::new(carried));
        }
        Ok(adopted)
    }

    /// This end's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local.get()
    }

    /// The other end's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer.get()
    }

    /// How long a call waits unless it says otherwise.
    pub fn timeout(&self) -> Timeout {
        self.timeout.get()
    }

    /// Sets [`timeout`](Self::timeout) for later calls.
    pub fn set_timeout(&self, timeout: Timeout) {
        self.timeout.set(timeout);
    }

    /// Whether this program has closed, aborted or detached it.
    pub fn is_closed(&self) -> bool {
        !self.gate.is_open()
    }

    /// Runs `work` with the socket, which cannot be closed meanwhile. `work` must not wait.
    ///
    /// # Errors
    /// [`Error::Closed`], or the kernel's error in words.
    pub fn with_socket<T>(&self, doing: &'static str, work: impl FnOnce(&Socket) -> io::Result<T>) -> Result<T> {
        let inside = self.enter(doing)?;
        work(&inside).map_err(|error| self.failed(doing, error))
    }

    fn enter(&self, doing: &str) -> Result<Inside<'_>> {
        self.gate.enter().ok_or_else(|| self.closed(doing))
    }

    /// Waits until the handshake is over; returns at once for a connection that has been made.
    ///
    /// # Errors
    /// What ended the attempt, or the wait; the attempt itself goes on after a timeout.
    pub fn wait_connected(&self, wait: &mut Wait<'_>) -> Result<()> {
        let doing = "wait_connected";
        self.recorded(doing, || self.connected(doing, wait))
    }

    fn connected(&self, doing: &'static str, wait: &mut Wait<'_>) -> Result<()> {
        let inside = self.enter(doing)?;
        if !self.connecting.load(Relaxed) {
            return self.unbroken(doing);
        }
        let error = loop {
            match self.gate.wait(&inside, Interest::Write, wait, None, &mut || false) {
                // A timeout of zero is a question: has it been made, or refused?
                Ok(()) | Err(Stop::WouldBlock) => {}
                Err(stop) => return Err(self.stopped(doing, stop, wait)),
            }
            let error = inside.take_error().map_err(|error| self.failed(doing, error))?;
            if error.is_some() || inside.peer_addr().is_ok() {
                break error;
            }
            // A wake-up for another reason finds neither an error nor a peer.
            if wait.deadline.is_immediate() {
                return Err(self.stopped(doing, Stop::WouldBlock, wait));
            }
        };
        self.connecting.store(false, Relaxed);
        record::note(|notes| notes.before = Some(TcpState::SYN_SENT));
        match error {
            None => self.unbroken(doing),
            Some(error) => {
                self.remember(&error);
                Err(reason::connect_failed(self.peer_addr(), &error))
            }
        }
    }

    /// Sends FIN (`Write`), stops receiving (`Read`), or both.
    ///
    /// # Errors
    /// [`Error::Closed`]; ENOTCONN if the connection is over already.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let doing = "shutdown";
        self.recorded(doing, || {
            if how != Shutdown::Read && self.driven().is_some_and(|driven| self.finishes_later(driven)) {
                return Ok(());
            }
            self.with_socket(doing, |socket| {
                record::note(|notes| notes.before = self.seen(socket));
                socket.shutdown(how)
            })?;
            if how != Shutdown::Write {
                self.receiving_over.store(true, Relaxed);
            }
            Ok(())
        })
    }

    /// Closes the socket: wakes every waiter with [`Error::Closed`], waits until they have left, and gives the port back. The kernel goes
    /// on to deliver what was sent. With bytes left unread, in its receive queue or in Rust memory, it sends RST instead of FIN (RFC 1122 section
    /// 4.2.2.13).
    /// Closing twice does nothing.
    pub fn close(&self, patience: &mut dyn Patience) {
        let shared = self.gate.is_inherited();
        self.end(Ended::Closed, patience, |socket, unread| {
            if unread && !shared {
                // A framing read had taken them out of the kernel's queue. Without it the kernel would send RST now, and so it shall.
                let _or_fin = socket.set_linger(Some(Duration::ZERO));
            }
        });
    }

    /// Closes with RST: what was sent and not acknowledged is dropped, and the peer's next call fails with ECONNRESET. In a forked child it is an
    /// ordinary close: the parent's connection is not the child's to end. The parent's abort ends it for its children too; on systems other than Linux
    /// RST leaves when the last of them has closed.
    ///
    /// # Errors
    /// The kernel's, if it does not let the linger time be set; the connection is closed all the same.
    pub fn abort(&self, patience: &mut dyn Patience) -> Result<()> {
        let mut set = Ok(());
        let shared = self.gate.is_inherited();
        self.end(Ended::Aborted, patience, |socket, _| {
            if !shared {
                set = sys::reset(socket);
            }
        });
        set.map_err(|error| self.failed("abort", error))
    }

    /// Gives the socket away, still open. Waiters are woken with [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Held`] if there are bytes in Rust memory that the new owner could not see.
    pub fn detach(&self, doing: &str, patience: &mut dyn Patience) -> Result<Socket> {
        self.not_driven(doing)?;
        self.nothing_held(doing)?;
        self.recorded("detach", || self.given_away(doing, patience))
    }

    fn given_away(&self, doing: &str, patience: &mut dyn Patience) -> Result<Socket> {
        if !self.is_closed() {
            self.ended.set(Ended::Detached);
        }
        let shut = self.gate.shut(patience).ok_or_else(|| self.closed(doing))?;
        // A read that was woken has given back by now what it had gathered since the first look.
        if let Err(held) = self.nothing_held(doing) {
            self.ended.set(Ended::Not);
            shut.reopen();
            return Err(held);
        }
        if let Some(socket) = &*shut {
            // A bulk read that was woken could not put it back any more.
            let _it_was_one = sys::set_low_water(socket, 1);
        }
        shut.take().ok_or_else(|| self.closed(doing))
    }

    fn nothing_held(&self, doing: &str) -> Result<()> {
        match self.input.lock().held() {
            0 => Ok(()),
            held => Err(Error::Held(format!(
                "{doing}: {self} holds {held} bytes in Rust memory that the new owner of the socket would never see: recv() them first"
            ))),
        }
    }

    fn end(&self, how: Ended, patience: &mut dyn Patience, last: impl FnOnce(&Socket, bool)) {
        if !self.is_closed() {
            self.ended.set(how);
        }
        let call = record::Call::begin();
        let Some(shut) = self.gate.shut(patience) else {
            call.into_iter().for_each(record::Call::forget);
            return;
        };
        let unread = {
            let mut state = self.input.lock();
            let unread = state.held() > 0 && state.received > 0;
            state.memory = super::memory::Memory::default();
            unread
        };
        if let Some(socket) = &*shut {
            let mut state = self.output.lock();
            if how == Ended::Closed {
                // What the kernel takes of what waits, it delivers; an error here is one that nobody is left to hear.
                let _and_the_rest_is_lost = self.flush_locked(socket, &mut state);
            }
            state.forget();
        }
        if let Some(socket) = &*shut {
            let state = sys::tcp_state(socket).ok().flatten();
            let over = state == Some(TcpState::CLOSED);
            let reset = !self.gate.is_inherited() && (unread || how == Ended::Aborted || self.unread_in_kernel(socket));
            self.left_nothing.store(over || reset, Relaxed);
            record::note(|notes| (notes.before, notes.reset) = (self.seen(socket), reset && !over));
            if let Some(driven) = self.driven() {
                driven.leaves(socket);
            }
            last(socket, unread);
        }
        // With a linger time, close(2) sleeps, and it does so on non-blocking sockets too.
        let mut shut = Some(shut);
        patience.released(&mut || drop(shut.take()));
        if let Some(call) = call.or_else(record::Call::late) {
            self.tell(call, if how == Ended::Aborted { "abort" } else { "close" }, None);
        }
    }

    /// Whether the kernel will send RST at close, because bytes of the peer are left in its queue.
    fn unread_in_kernel(&self, socket: &Socket) -> bool {
        sys::recv_queue(socket).is_ok_and(|queue| queue.unwrap_or(0) > 0)
    }

    /// Keeps an error that the kernel tells only once.
    fn remember(&self, error: &io::Error) {
        if let Some(code) = error.raw_os_error().filter(|_| reason::is_final(error)) {
            let _first = self.broken.compare_exchange(0, code, Relaxed, Relaxed);
        }
    }

    /// The error that ended the connection, if one did.
    fn broken(&self) -> Option<io::Error> {
        match self.broken.load(Relaxed) {
            0 => None,
            code => Some(io::Error::from_raw_os_error(code)),
        }
    }

    fn unbroken(&self, doing: &'static str) -> Result<()> {
        self.broken().map_or(Ok(()), |error| Err(self.failed(doing, error)))
    }

    fn closed(&self, doing: &str) -> Error {
        let how = self.ended.word();
        Error::Closed(format!("{doing}: {self} was {how} by this program"))
    }

    fn failed(&self, doing: &'static str, error: io::Error) -> Error {
        self.remember(&error);
        reason::failed(&Call { doing, who: &self.to_string() }, &error)
    }

    fn stopped(&self, doing: &'static str, stop: Stop, wait: &Wait<'_>) -> Error {
        match stop {
            // In words it would take as long as the attempt.
            Stop::WouldBlock if wait.deadline.is_attempt() => Error::WouldBlock(String::new()),
            Stop::Closed => self.closed(doing),
            Stop::Os(error) => self.failed(doing, error),
            stop => reason::stopped(&Call { doing, who: &self.to_string() }, &stop, wait.deadline.timeout()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close(&mut Uninterrupted);
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection {} -> {}", self.local_addr(), self.peer_addr())
    }
}
