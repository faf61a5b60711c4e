//! Unix systems without a backend of their own: what they have in common with Linux works, and their queues stay unknown.

use std::io;

use socket2::Socket;

use crate::core::info::TcpInfo;
use crate::core::state::TcpState;

pub(crate) fn recv_queue(_socket: &Socket) -> io::Result<Option<usize>> {
    Ok(None)
}

pub(crate) fn send_queue(_socket: &Socket) -> io::Result<Option<usize>> {
    Ok(None)
}

pub(crate) fn send_queue_unsent(_socket: &Socket) -> io::Result<Option<usize>> {
    Ok(None)
}

pub(crate) fn accept_queue(_listener: &Socket) -> io::Result<Option<(u32, u32)>> {
    Ok(None)
}

pub(crate) fn inode(_socket: &Socket) -> Option<u64> {
    None
}

/// By a linger time of 0 (socket(7)).
pub(crate) fn reset(socket: &Socket) -> io::Result<()> {
    socket.set_linger(Some(std::time::Duration::ZERO))
}

pub(crate) fn tcp_info(_socket: &Socket) -> io::Result<TcpInfo> {
    Ok(TcpInfo::default())
}

pub(crate) fn tcp_state(_socket: &Socket) -> io::Result<Option<TcpState>> {
    Ok(None)
}
