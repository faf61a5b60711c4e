//! macOS: type-checked, not run. SO_NREAD and SO_NWRITE tell the queues, TCP_CONNECTION_INFO the state.
#![allow(unsafe_code)]

use std::io;

use socket2::Socket;

use super::unix::getsockopt;
use crate::core::info::TcpInfo;
use crate::core::state::TcpState;

fn number(socket: &Socket, option: i32) -> io::Result<Option<usize>> {
    let bytes = getsockopt(socket, libc::SOL_SOCKET, option, 4)?;
    Ok(bytes.first_chunk().and_then(|&bytes| usize::try_from(i32::from_ne_bytes(bytes)).ok()))
}

pub(crate) fn recv_queue(socket: &Socket) -> io::Result<Option<usize>> {
    number(socket, libc::SO_NREAD)
}

pub(crate) fn send_queue(socket: &Socket) -> io::Result<Option<usize>> {
    number(socket, libc::SO_NWRITE)
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

fn connection_info(socket: &Socket) -> io::Result<libc::tcp_connection_info> {
    let bytes = getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_CONNECTION_INFO, size_of::<libc::tcp_connection_info>())?;
    if bytes.len() < size_of::<libc::tcp_connection_info>() {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    // SAFETY: the struct has only integers, so any bytes are a value of it, and there are enough of them.
    Ok(unsafe { bytes.as_ptr().cast::<libc::tcp_connection_info>().read_unaligned() })
}

pub(crate) fn tcp_info(socket: &Socket) -> io::Result<TcpInfo> {
    let raw = connection_info(socket)?;
    let micros = |millis: u32| millis.saturating_mul(1000);
    Ok(TcpInfo {
        state: TcpState::from_bsd(u32::from(raw.tcpi_state)),
        snd_wscale: Some(raw.tcpi_snd_wscale),
        rcv_wscale: Some(raw.tcpi_rcv_wscale),
        rto: Some(micros(raw.tcpi_rto)),
        snd_mss: Some(raw.tcpi_maxseg),
        snd_wnd: Some(raw.tcpi_snd_wnd),
        rcv_wnd: Some(raw.tcpi_rcv_wnd),
        rtt: Some(micros(raw.tcpi_srtt)),
        rttvar: Some(micros(raw.tcpi_rttvar)),
        bytes_sent: Some(raw.tcpi_txbytes),
        bytes_retrans: Some(raw.tcpi_txretransmitbytes),
        bytes_received: Some(raw.tcpi_rxbytes),
        ..TcpInfo::default()
    })
}

pub(crate) fn tcp_state(socket: &Socket) -> io::Result<Option<TcpState>> {
    Ok(connection_info(socket)?.tcpi_state).map(|state| TcpState::from_bsd(u32::from(state)))
}
