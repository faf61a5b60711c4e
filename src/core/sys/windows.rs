//! Windows: type-checked, not run. FIONREAD tells the receive queue, SIO_TCP_INFO the state; the send queue stays unknown.
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, FromRawSocket};
use std::sync::Arc;

use socket2::Socket;
use windows_sys::Win32::Networking::WinSock as ws;

use crate::core::info::TcpInfo;
use crate::core::state::TcpState;

/// A peer that is gone is an error here, never a signal.
pub(crate) const SEND_FLAGS: i32 = 0;
/// There is no flag for not sleeping, and nobody else who could make a socket blocking.
pub(crate) const DONT_WAIT: i32 = 0;
/// A look that takes nothing.
pub(crate) const PEEK: i32 = ws::MSG_PEEK;

/// The error numbers of a handle that is not open, and of one that is no socket.
pub(crate) const NOT_OPEN: i32 = ws::WSAEBADF;
pub(crate) const NO_SOCKET: i32 = ws::WSAENOTSOCK;

/// It is.
pub(crate) fn ensure_nonblocking(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// A UDP socket on loopback that is connected to itself: WSAPoll waits for sockets only.
#[derive(Debug)]
pub(crate) struct WakeHandle(UdpSocket);

impl WakeHandle {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    pub(crate) fn wake(&self) {
        let _already_pulled = self.0.send(&[1]);
    }

    pub(crate) fn drain(&self) {
        while self.0.recv(&mut [0; 8]).is_ok() {}
    }
}

impl AsSocket for WakeHandle {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

fn raw(socket: &Socket) -> ws::SOCKET {
    socket.as_raw_socket() as ws::SOCKET
}

fn checked(answer: i32) -> io::Result<()> {
    // SAFETY: asks for this thread's last Winsock error, nothing else.
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(unsafe { ws::WSAGetLastError() })) }
}

/// There is no fork.
pub(crate) fn count_forks() {}

/// There is no fork.
pub(crate) fn generation() -> u32 {
    0
}

/// The socket, although others still hold references to it; they must never use it again.
pub(crate) fn take_over(shared: &Arc<Socket>) -> Socket {
    // One more reference that is never given back: the count cannot reach zero, so nobody else closes the socket.
    std::mem::forget(Arc::clone(shared));
    // SAFETY: the socket is open, and by the line above this is the only owner that will close it.
    unsafe { Socket::from_raw_socket(shared.as_raw_socket()) }
}

pub(crate) fn accept(listener: &Socket) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer.as_socket()))
}

/// SO_EXCLUSIVEADDRUSE: nobody else can take the port while it is open.
pub(crate) fn set_exclusive(socket: &Socket) -> io::Result<()> {
    setsockopt(socket, ws::SOL_SOCKET, ws::SO_EXCLUSIVEADDRUSE, &1i32.to_ne_bytes())
}

pub(crate) fn getsockopt(socket: &Socket, level: i32, option: i32, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; size];
    let mut length = i32::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `bytes` has `length` writable bytes, and the system writes no more.
    checked(unsafe { ws::getsockopt(raw(socket), level, option, bytes.as_mut_ptr(), &raw mut length) })?;
    bytes.truncate(usize::try_from(length).unwrap_or(0));
    Ok(bytes)
}

pub(crate) fn setsockopt(socket: &Socket, level: i32, option: i32, value: &[u8]) -> io::Result<()> {
    let length = i32::try_from(value.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `value` has `length` readable bytes.
    checked(unsafe { ws::setsockopt(raw(socket), level, option, value.as_ptr(), length) })
}

/// There is no such option that WSAPoll would heed.
pub(crate) fn set_low_water(_socket: &Socket, _count: usize) -> io::Result<()> {
    Ok(())
}

pub(crate) fn is_error_option(level: i32, option: i32) -> bool {
    (level, option) == (ws::SOL_SOCKET, ws::SO_ERROR)
}

pub(crate) fn is_listener(socket: &Socket) -> io::Result<bool> {
    let bytes = getsockopt(socket, ws::SOL_SOCKET, ws::SO_ACCEPTCONN, 4)?;
    Ok(bytes.iter().any(|&byte| byte != 0))
}

pub(crate) fn is_about_the_client(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ws::WSAECONNRESET | ws::WSAECONNABORTED | ws::WSAEINTR))
}

pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ws::WSAEMFILE | ws::WSAENOBUFS))
}

pub(crate) fn recv_queue(socket: &Socket) -> io::Result<Option<usize>> {
    let mut count = 0;
    // SAFETY: FIONREAD writes one unsigned number.
    checked(unsafe { ws::ioctlsocket(raw(socket), ws::FIONREAD, &raw mut count) })?;
    Ok(usize::try_from(count).ok())
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

fn raw_info(socket: &Socket) -> io::Result<ws::TCP_INFO_v0> {
    let version = 0u32;
    let mut info = ws::TCP_INFO_v0::default();
    let mut returned = 0;
    // SAFETY: the version number goes in, a TCP_INFO_v0 comes out, and both sizes are told.
    checked(unsafe {
        ws::WSAIoctl(
            raw(socket),
            ws::SIO_TCP_INFO,
            (&raw const version).cast(),
            size_of::<u32>() as u32,
            (&raw mut info).cast(),
            size_of::<ws::TCP_INFO_v0>() as u32,
            &raw mut returned,
            std::ptr::null_mut(),
            None,
        )
    })?;
    Ok(info)
}

pub(crate) fn tcp_info(socket: &Socket) -> io::Result<TcpInfo> {
    let raw = raw_info(socket)?;
    Ok(TcpInfo {
        state: u32::try_from(raw.State).ok().and_then(TcpState::from_bsd),
        snd_mss: Some(raw.Mss),
        rtt: Some(raw.RttUs),
        min_rtt: Some(raw.MinRttUs),
        snd_wnd: Some(raw.SndWnd),
        rcv_wnd: Some(raw.RcvWnd),
        bytes_sent: Some(raw.BytesOut),
        bytes_received: Some(raw.BytesIn),
        bytes_retrans: Some(u64::from(raw.BytesRetrans)),
        ..TcpInfo::default()
    })
}

pub(crate) fn tcp_state(socket: &Socket) -> io::Result<Option<TcpState>> {
    Ok(u32::try_from(raw_info(socket)?.State).ok().and_then(TcpState::from_bsd))
}
