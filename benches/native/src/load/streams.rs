//! Streams without a pause: bytes go out as long as fewer than a window of them are on their way, and are compared as they return.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use socklens_bench::{EventFlags, Poll};

use crate::meter::Meter;
use crate::options::Options;
use crate::wrong;

/// One read or write. Pattern and buffer stay in a second-level cache together, so that comparing costs little.
const CHUNK: usize = 128 * 1024;
const LINE: usize = 32;
const LINES: usize = 2053;
const WORD: usize = 8;

/// A block that a stream repeats for ever, with its beginning once more at the end, so that a chunk from anywhere in it is
/// one slice.
pub(crate) struct Pattern {
    bytes: Vec<u8>,
    period: u64,
    /// Bytes for one operation.
    unit: u64,
}

impl Pattern {
    fn new(block: &[u8], unit: u64) -> Self {
        Self { bytes: block.iter().copied().cycle().take(block.len() + CHUNK).collect(), period: block.len() as u64, unit }
    }

    fn at(&self, offset: u64, n: usize) -> &[u8] {
        &self.bytes[(offset % self.period) as usize..][..n]
    }
}

/// Lines of 32 bytes, each different from its neighbours. Counted in lines.
pub(crate) fn lines() -> Pattern {
    let block: Vec<u8> = (0..LINES).flat_map(|number| format!("line {number:026}\n").into_bytes()).collect();
    debug_assert_eq!(block.len(), LINES * LINE);
    Pattern::new(&block, LINE as u64)
}

/// Bytes of a small generator (Marsaglia's xorshift), some 64 KiB but no power of two. Counted in bytes.
pub(crate) fn bulk() -> Pattern {
    let mut state = 6666_u64;
    let mut block = Vec::with_capacity(CHUNK);
    for _ in 0..8191 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_ne_bytes());
    }
    debug_assert_eq!(block.len(), 8191 * WORD);
    Pattern::new(&block, 1)
}

struct Stream {
    socket: TcpStream,
    sent: u64,
    back: u64,
    blocked: bool,
}

impl Stream {
    /// Fills the window once it is half empty: a server of lines is to find many of them, as from a pipelining client.
    fn fill(&mut self, window: u64, pattern: &Pattern) -> io::Result<()> {
        self.blocked = false;
        if self.sent - self.back > window / 2 {
            return Ok(());
        }
        while self.sent - self.back < window {
            let room = (window - (self.sent - self.back)).min(CHUNK as u64) as usize;
            match self.socket.write(pattern.at(self.sent, room)) {
                Ok(n) => self.sent += n as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The rest of a line that was cut by the window, so that the server gives it back too.
    fn finish_line(&mut self, pattern: &Pattern) -> io::Result<()> {
        let rest = (pattern.unit - self.sent % pattern.unit) % pattern.unit;
        self.socket.set_nonblocking(false)?;
        self.socket.write_all(pattern.at(self.sent, rest as usize))?;
        self.socket.set_nonblocking(true)?;
        self.sent += rest;
        Ok(())
    }

    fn take(&mut self, buffer: &mut [u8], pattern: &Pattern, number: usize) -> io::Result<()> {
        let n = match self.socket.read(buffer) {
            Ok(0) => return Err(wrong("the server finished", number)),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        if buffer[..n] != *pattern.at(self.back, n) {
            return Err(wrong("not the bytes that were sent", number));
        }
        self.back += n as u64;
        if self.back > self.sent {
            return Err(wrong("more bytes than were sent", number));
        }
        Ok(())
    }
}

fn open(options: &Options, poll: &Poll, flags: EventFlags) -> io::Result<Vec<Stream>> {
    (0..options.connections)
        .map(|number| {
            let socket = TcpStream::connect(options.server)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            poll.add(&socket, number, flags)?;
            Ok(Stream { socket, sent: 0, back: 0, blocked: false })
        })
        .collect()
}

/// The modes `lines` and `bulk`.
pub(crate) fn run(options: &Options, meter: &mut Meter<'_>, pattern: &Pattern) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = open(options, &poll, EventFlags::IN)?;
    // No multiple of a line, so that lines are cut everywhere.
    let window = options.window as u64 | 1;
    meter.ready();
    for stream in &mut streams {
        stream.fill(window, pattern)?;
    }
    let mut buffer = vec![0; CHUNK];
    let mut turn = Vec::new();
    let mut bytes = 0;
    while meter.goes_on(bytes / pattern.unit)? {
        poll.wait(&mut turn)?;
        for &number in &turn {
            let stream = &mut streams[number];
            let before = (stream.back, stream.blocked);
            stream.take(&mut buffer, pattern, number)?;
            bytes += stream.back - before.0;
            stream.fill(window, pattern)?;
            if stream.blocked != before.1 {
                let also = if stream.blocked { EventFlags::OUT } else { EventFlags::empty() };
                poll.modify(&stream.socket, number, EventFlags::IN | also)?;
            }
        }
    }
    drain(&mut streams, &mut buffer, pattern)
}

/// Every byte that is still on its way is waited for and compared.
fn drain(streams: &mut [Stream], buffer: &mut [u8], pattern: &Pattern) -> io::Result<()> {
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.finish_line(pattern)?;
        stream.socket.set_nonblocking(false)?;
        while stream.back < stream.sent {
            stream.take(buffer, pattern, number)?;
        }
    }
    Ok(())
}

/// The mode `discard`. That the server took everything is known from how it ends: with a FIN, where unread bytes would have
/// made it a reset (RFC 2525 section 2.17).
pub(crate) fn discard(options: &Options, meter: &mut Meter<'_>, pattern: &Pattern) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = open(options, &poll, EventFlags::OUT)?;
    let mut turn = Vec::new();
    let mut bytes = 0;
    meter.ready();
    while meter.goes_on(bytes)? {
        poll.wait(&mut turn)?;
        for &number in &turn {
            let stream = &mut streams[number];
            match stream.socket.write(pattern.at(stream.sent, CHUNK)) {
                Ok(n) => {
                    stream.sent += n as u64;
                    bytes += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.socket.set_nonblocking(false)?;
        stream.socket.shutdown(Shutdown::Write)?;
        if stream.socket.read(&mut [0; 1])? != 0 {
            return Err(wrong("an answer where there has to be none", number));
        }
    }
    Ok(())
}
