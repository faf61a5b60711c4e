//! Linux: everything that socklens shows can be asked for without privileges (tcp(7), socket(7)).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::net::SocketFlags;
use socket2::Socket;

use super::unix::{ask, getsockopt};
use crate::core::info::TcpInfo;
use crate::core::state::TcpState;

const SIOCINQ: libc::c_ulong = libc::FIONREAD as libc::c_ulong;
const SIOCOUTQ: libc::c_ulong = libc::TIOCOUTQ as libc::c_ulong;
/// Not in tcp(7): linux/sockios.h.
const SIOCOUTQNSD: libc::c_ulong = 0x894B;

/// An eventfd(2).
#[derive(Debug)]
pub(crate) struct WakeHandle(OwnedFd);

impl WakeHandle {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Cannot fail usefully: a full counter is a handle that is pulled already.
    pub(crate) fn wake(&self) {
        let _already_pulled = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub(crate) fn drain(&self) {
        let _not_pulled = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for WakeHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// accept4(2): close-on-exec and non-blocking in one call.
pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (fd, peer) = rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    Ok((Socket::from(fd), peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
}

pub(crate) fn recv_queue(socket: &Socket) -> io::Result<Option<usize>> {
    ask(socket, SIOCINQ).map(Some)
}

pub(crate) fn send_queue(socket: &Socket) -> io::Result<Option<usize>> {
    let queue = ask(socket, SIOCOUTQ)?;
    Ok(Some(match tcp_state(socket)? {
        // The queue is counted in sequence numbers, and a FIN has one: in these states it is not acknowledged yet.
        Some(TcpState::FIN_WAIT_1 | TcpState::CLOSING | TcpState::LAST_ACK) => queue.saturating_sub(1),
        // With the connection the queue is gone (tcp_write_queue_purge); only the sequence numbers stand where they stood.
        Some(TcpState::CLOSED) => 0,
        _ => queue,
    }))
}

pub(crate) fn send_queue_unsent(socket: &Socket) -> io::Result<Option<usize>> {
    let unsent = ask(socket, SIOCOUTQNSD)?;
    Ok(Some(match tcp_state(socket)? {
        // The FIN is the last of the queue, so it is among what was not sent if anything is.
        Some(TcpState::FIN_WAIT_1 | TcpState::CLOSING | TcpState::LAST_ACK) => unsent.saturating_sub(1),
        _ => unsent,
    }))
}

/// TCP_INFO on a listener gives its accept queue in two fields that mean other things on a connection (`tcp_get_info` in the kernel).
pub(crate) fn accept_queue(listener: &Socket) -> io::Result<Option<(u32, u32)>> {
    let info = tcp_info(listener)?;
    Ok(info.unacked.zip(info.sacked))
}

pub(crate) fn tcp_info(socket: &Socket) -> io::Result<TcpInfo> {
    // Larger than today's 280 bytes: what a later kernel adds is not cut off, only not named yet.
    getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, 512).map(|bytes| TcpInfo::parse(&bytes))
}

pub(crate) fn tcp_state(socket: &Socket) -> io::Result<Option<TcpState>> {
    let bytes = getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, 1)?;
    Ok(bytes.first().and_then(|&number| TcpState::from_number(number)))
}

/// An association that is dissolved (connect(2), AF_UNSPEC) sends RST at once, whoever else has the socket; with a linger time of 0 alone it would
/// leave with the last descriptor, which a child of fork(2) may keep for long.
pub(crate) fn reset(socket: &Socket) -> io::Result<()> {
    socket.set_linger(Some(Duration::ZERO))?;
    // In the states that are left out, `tcp_disconnect` sends nothing, while close(2) still answers unread bytes with RST.
    if let Some(TcpState::SYN_SENT | TcpState::ESTABLISHED | TcpState::FIN_WAIT_1 | TcpState::FIN_WAIT_2 | TcpState::CLOSE_WAIT) =
        tcp_state(socket).ok().flatten()
    {
        // EBUSY on Linux 6.4 to 6.6, while the child waits in a call of its own: then the linger time has to do.
        let _or_with_its_last_descriptor = rustix::net::connect_unspec(socket);
    }
    Ok(())
}

/// The inode of a socket (fstat(2)): the number by which the kernel's table has it.
pub(crate) fn inode(socket: &Socket) -> Option<u64> {
    socket_inode(socket.as_raw_fd())
}

/// The inode of an open descriptor of this process, if it is a socket (fstat(2)): ten times as fast as to read its link in /proc.
pub(crate) fn socket_inode(number: i32) -> Option<u64> {
    super::unix::status(number).filter(|status| status.st_mode & libc::S_IFMT == libc::S_IFSOCK).map(|status| status.st_ino)
}
