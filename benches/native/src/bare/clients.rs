//! The clients of the bare server: accepted, read and written without blocking. What their bytes mean is not known here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socklens_bench::{EventFlags, Poll};

/// Whether a client is still there.
pub(crate) enum Stay {
    Yes,
    No,
}

/// One client. Empty vectors hold no memory: an idle client costs these few words and its place in the kernel.
pub(crate) struct Client {
    socket: TcpStream,
    kept: Vec<u8>,
    /// What the kernel did not take yet.
    pub(crate) out: Vec<u8>,
    blocked: bool,
}

impl Client {
    /// Whether bytes wait for the kernel to take them.
    pub(crate) fn waits(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether the kernel refused some of them already, so that epoll tells when it takes more.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// What has come; none if it was a false alarm, 0 at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.read(buffer) {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts what was kept in front of what has come; gives both ends.
    pub(crate) fn read_after_kept(&mut self, buffer: &mut [u8]) -> io::Result<Option<(usize, usize)>> {
        let kept = self.kept.len();
        buffer[..kept].copy_from_slice(&self.kept);
        Ok(self.read(&mut buffer[kept..])?.map(|n| (kept, kept + n)))
    }

    /// Remembers the beginning of a line, and only that.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.kept.clear();
        self.kept.extend_from_slice(rest);
    }

    /// Sends now what the kernel takes now; nothing may be waiting.
    pub(crate) fn send(&mut self, bytes: &[u8], token: usize, poll: &Poll) -> io::Result<Stay> {
        let sent = self.push(bytes)?;
        if sent < bytes.len() {
            self.out.extend_from_slice(&bytes[sent..]);
            self.blocked = true;
            poll.modify(&self.socket, token, EventFlags::OUT)?;
        }
        Ok(Stay::Yes)
    }

    /// Sends of what waits as much as the kernel takes; back to reading when that was all.
    pub(crate) fn flush(&mut self, token: usize, poll: &Poll) -> io::Result<Stay> {
        let sent = self.push_out()?;
        if sent && self.blocked {
            self.blocked = false;
            poll.modify(&self.socket, token, EventFlags::IN)?;
        } else if !sent && !self.blocked {
            self.blocked = true;
            poll.modify(&self.socket, token, EventFlags::OUT)?;
        }
        Ok(Stay::Yes)
    }

    fn push_out(&mut self) -> io::Result<bool> {
        let out = std::mem::take(&mut self.out);
        let sent = self.push(&out)?;
        self.out = out;
        self.out.drain(..sent);
        Ok(self.out.is_empty())
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.write(bytes) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }
}

/// All clients, by their token.
#[derive(Default)]
pub(crate) struct Clients {
    places: Vec<Option<Client>>,
    free: Vec<usize>,
}

impl Clients {
    /// Everyone who waits.
    pub(crate) fn accept_all(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            // accept4(2) makes it non-blocking in the same call.
            let socket = match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => TcpStream::from(socket),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::CONNABORTED) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let token = self.free.pop().unwrap_or_else(|| {
                self.places.push(None);
                self.places.len() - 1
            });
            poll.add(&socket, token, EventFlags::IN)?;
            self.places[token] = Some(Client { socket, kept: Vec::new(), out: Vec::new(), blocked: false });
        }
    }

    /// The client with this token, if it is still there: it may have left earlier in the same turn.
    pub(crate) fn get(&mut self, token: usize) -> Option<&mut Client> {
        self.places.get_mut(token)?.as_mut()
    }

    /// Closes its socket, which takes it out of epoll as well.
    pub(crate) fn close(&mut self, token: usize) {
        if self.places[token].take().is_some() {
            self.free.push(token);
        }
    }

    /// Everyone, with the token.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = (usize, &mut Client)> {
        self.places.iter_mut().enumerate().filter_map(|(token, place)| Some((token, place.as_mut()?)))
    }
}
