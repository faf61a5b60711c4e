//! Whole lives of connections: connect, one byte there and back, close. The client closes first, as clients do.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use socklens_bench::source::connect;

use crate::meter::Meter;
use crate::options::Options;
use crate::wrong;

/// Each has 28,000 ports, and a port rests for a second before it is used again.
const SOURCES: u16 = 256;

/// The mode `lives`. Blocking calls on the oldest of those under way, so that there is no epoll to feed.
pub(crate) fn run(options: &Options, meter: &mut Meter<'_>) -> io::Result<()> {
    let mut under_way = VecDeque::with_capacity(options.connections);
    let mut done = 0;
    meter.ready();
    loop {
        let more = meter.goes_on(done)?;
        while more && under_way.len() < options.connections {
            let byte = done as u8 ^ under_way.len() as u8;
            let mut socket = connect(options.server, done as u16 % SOURCES)?;
            socket.write_all(&[byte])?;
            under_way.push_back((socket, byte));
        }
        let Some((mut socket, byte)) = under_way.pop_front() else { return Ok(()) };
        let mut buffer = [0; 2];
        let n = socket.read(&mut buffer)?;
        if buffer[..n] != [byte] {
            return Err(wrong("not the byte that was sent", done as usize));
        }
        done += 1;
    }
}
