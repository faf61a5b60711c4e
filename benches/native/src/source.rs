//! Connecting from a chosen address. Linux counts the ports of each source address apart, so that short lives from many
//! addresses do not have to look for one that is not in TIME_WAIT: with a single one the second 10,000 take twice as long.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of_val;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// Connects to `server`, from the loopback address 127.1.x.y with this number.
///
/// # Errors
/// As socket(2), bind(2) and connect(2).
pub fn connect(server: SocketAddr, number: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // ip(7): bind the address now, and leave the port to connect(2), which knows the other end and so needs only the four
    // numbers together to be unused. Otherwise bind(2) would look for a port that nobody uses at all.
    let yes: libc::c_int = 1;
    // SAFETY: the pointer and the size are those of a number that lives through the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const yes).cast(),
            size_of_val(&yes) as libc::socklen_t,
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    let [high, low] = number.to_be_bytes();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0)).into())?;
    socket.connect(&server.into())?;
    Ok(socket.into())
}
