//! Frozen views: copies of what was so at one moment. Looking never changes anything.

/// How much of a buffer's content a view copies at the most, in bytes: MSG_PEEK of 64 KiB takes 3 µs, of 4 MiB 600.
pub const CONTENT_LIMIT: usize = 64 << 10;

/// The input buffer at one moment: Rust memory first, then the kernel's receive queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Bytes in Rust memory: what a framing read took beyond its frame, and what was put back. Counted.
    pub rust: usize,
    /// Bytes in the kernel's receive queue (FIONREAD). `None` where the system does not tell.
    pub kernel: Option<usize>,
    /// The kernel's receive buffer (SO_RCVBUF) as granted. Linux counts its own overhead against it.
    pub capacity: usize,
    /// What this program asked for as receive buffer, if it did.
    pub asked: Option<usize>,
    /// The oldest bytes of the two, up to [`CONTENT_LIMIT`].
    pub content: Vec<u8>,
}

/// The output buffer at one moment: what the kernel took from this program and the peer has not acknowledged, and what waits for the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Bytes that a server has for this client and the kernel has not taken yet. Counted.
    pub rust: usize,
    /// Outstanding bytes (SIOCOUTQ). `None` where the system does not tell.
    pub outstanding: Option<usize>,
    /// How many of them were not sent at all yet (SIOCOUTQNSD). `None` where the system does not tell.
    pub unsent: Option<usize>,
    /// The kernel's send buffer (SO_SNDBUF) as granted.
    pub capacity: usize,
    /// What this program asked for as send buffer, if it did.
    pub asked: Option<usize>,
    /// How many of the oldest outstanding bytes are no longer held in the copy.
    pub not_kept: usize,
    /// The outstanding bytes after those, oldest first, from the copy of the last bytes sent; then those in Rust, up to [`CONTENT_LIMIT`] of them.
    pub content: Vec<u8>,
}

/// The sends of a connection at one moment, counted by the calls of this program: the borders between them, which TCP does not carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sends {
    /// Bytes that the kernel has taken from this program; those after the last end are of a send that still goes on.
    pub sent: u64,
    /// How many sends there were.
    pub count: usize,
    /// Where the last of them ended, oldest first, as counts of bytes from the start of the stream.
    pub ends: Vec<u64>,
}

/// Bytes over a connection's life, counted by the calls of this program.
///
/// `received + put_back == read +` the bytes in Rust memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes that the kernel has taken from this program.
    pub sent: u64,
    /// Bytes taken out of the kernel's receive queue.
    pub received: u64,
    /// Bytes handed to the program.
    pub read: u64,
    /// Bytes that the program put back.
    pub put_back: u64,
}
