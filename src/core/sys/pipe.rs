//! What Unix systems other than Linux use where Linux has eventfd(2) and accept4(2).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::Socket;

/// Both ends of a pipe(2).
#[derive(Debug)]
pub(crate) struct WakeHandle {
    read: OwnedFd,
    write: OwnedFd,
}

impl WakeHandle {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe()?;
        for end in [&read, &write] {
            rustix::io::ioctl_fionbio(end, true)?;
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(Self { read, write })
    }

    pub(crate) fn wake(&self) {
        let _already_pulled = rustix::io::write(&self.write, &[1]);
    }

    pub(crate) fn drain(&self) {
        let _not_pulled = rustix::io::read(&self.read, &mut [0; 64]);
    }
}

impl AsFd for WakeHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer.as_socket()))
}
