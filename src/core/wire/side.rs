//! One of the two sockets of a relayed connection: reads, writes and ends, and what it is watched for. Nothing is decided here.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket};

use crate::core::connect::{in_progress, kind};
use crate::core::server::watch::{For, Watch};
use crate::core::state::TcpState;
use crate::core::{ports, sys};

/// A socket of the relay's.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) socket: Socket,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    watch: Arc<Watch>,
    key: usize,
    watched: Option<For>,
    is_hung_up: bool,
    /// Bytes written to it over its life.
    pub(super) sent: u64,
    /// Whether its peer is a socket of this machine; unknown at first.
    pub(super) here: Option<bool>,
    /// Whether its peer's FIN has been read.
    pub(super) has_finished: bool,
    /// Whether FIN has been sent to its peer.
    pub(super) is_finished: bool,
    /// Whether it is of no use any more: reset, or given up by the kernel.
    pub(super) is_broken: bool,
    /// Whether the kernel took less than it was offered, so that the next event has to be awaited.
    pub(super) is_full: bool,
}

impl Side {
    pub(super) fn new(socket: Socket, local: SocketAddr, peer: SocketAddr, watch: Arc<Watch>, key: usize) -> io::Result<Self> {
        // Pieces are to be segments: Nagle's algorithm (RFC 896) would gather them.
        socket.set_tcp_nodelay(true)?;
        Ok(Self {
            socket,
            local,
            peer,
            watch,
            key,
            watched: None,
            is_hung_up: false,
            sent: 0,
            here: None,
            has_finished: false,
            is_finished: false,
            is_broken: false,
            is_full: false,
        })
    }

    /// Begins to connect to an address (connect(2)).
    pub(super) fn connect(target: SocketAddr, watch: Arc<Watch>, key: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(target), kind(), Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&target.into()) {
            Err(error) if !in_progress(&error) => return Err(error),
            _ => {}
        }
        Self::new(socket, target, target, watch, key)
    }

    /// The end of an attempt to connect: whether it has come, and how.
    pub(super) fn is_connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        let Ok(peer) = self.socket.peer_addr() else { return Ok(false) };
        let local = self.socket.local_addr()?;
        if let (Some(peer), Some(local)) = (peer.as_socket(), local.as_socket()) {
            if peer == local {
                // TCP's simultaneous open with itself (RFC 9293 section 3.5): nobody listens there.
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            (self.peer, self.local) = (peer, local);
        }
        Ok(true)
    }

    /// Changes what it is watched for, if that is a change, or if events are told only once.
    pub(super) fn watch_for(&mut self, interest: For) -> io::Result<()> {
        match self.watched {
            Some(before) if before == interest && !self.watch.tells_once() => return Ok(()),
            Some(_) => self.watch.change(&self.socket, self.key, interest)?,
            None if self.is_hung_up && interest == For::NOTHING => return Ok(()),
            None => self.watch.add(&self.socket, self.key, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }

    /// The poller that watches it.
    pub(super) fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    /// Whether it is watched for nothing but its end.
    pub(super) fn is_idle(&self) -> bool {
        self.watched.is_some_and(|interest| interest == For::NOTHING)
    }

    /// Its connection is over in both directions: what the kernel would tell again and again is not listened to.
    pub(super) fn hangs_up(&mut self) {
        self.unwatch();
        self.is_hung_up = true;
    }

    pub(super) fn unwatch(&mut self) {
        if self.watched.take().is_some() {
            let _gone_with_its_descriptor = self.watch.remove(&self.socket);
        }
    }

    pub(super) fn read(&self, space: &mut [u8]) -> io::Result<usize> {
        sys::read(&self.socket, space)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.socket.send_with_flags(bytes, sys::SEND_FLAGS)?;
        self.sent += count as u64;
        Ok(count)
    }

    /// Sends FIN.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) {
            let _or_gone = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Whether its peer has finished although FIN cannot be read: it lies behind bytes that are left where they are, or waits in the peer's kernel for
    /// the window to open, of which only the table of this machine's sockets can tell.
    pub(super) fn has_finished_unread(&self) -> bool {
        let state = sys::tcp_state(&self.socket).ok().flatten();
        state == Some(TcpState::CLOSE_WAIT)
            || (state == Some(TcpState::ESTABLISHED) && ports::state_between(self.peer, self.local) == Some(TcpState::FIN_WAIT_1))
    }

    /// How many bytes its peer has sent by now, of which so many have been read: the table of this machine's sockets knows also those that wait in the
    /// peer's kernel for the window to open. Of a peer elsewhere only what has arrived is known.
    pub(super) fn unread(&self, read: u64) -> u64 {
        let written = ports::written(self.peer, self.local);
        let arrived = sys::recv_queue(&self.socket).ok().flatten().unwrap_or(0) as u64;
        written.map_or(arrived, |(written, outstanding)| written.saturating_sub(read).min(arrived + u64::from(outstanding)))
    }

    /// Closes it: with RST, or with FIN. A child of fork(2) may have the descriptor too, so that to close it need not send either.
    pub(super) fn close(mut self, reset: bool) {
        if reset {
            let _or_gone = sys::reset(&self.socket);
        } else {
            self.finish();
        }
    }

    /// The number by which the kernel's table has it; 0 where that is not known.
    pub(super) fn inode(&self) -> u64 {
        sys::inode(&self.socket).unwrap_or(0)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Before its descriptor is closed: what a poller watches stays open as long.
        self.unwatch();
    }
}
