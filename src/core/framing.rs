//! Where a frame ends in a stream of bytes. Pure: bytes in, an answer out; no I/O and nothing is consumed here.

use std::ops::Range;

use memchr::{memchr, memmem};

/// What a look at the bytes so far has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole frame: `payload` is for the caller, and `length` bytes leave the buffer with it.
    Whole {
        /// What the caller gets.
        payload: Range<usize>,
        /// All that the frame takes up, its prefix or separator included.
        length: usize,
    },
    /// Not yet; at least so many bytes more are needed.
    More(usize),
    /// It is longer than the caller allows.
    TooLong,
}

/// A rule that says where a frame ends.
pub trait Framing {
    /// Looks at all the bytes there are. `epoch` is another number whenever the front of `bytes` has changed since the last look.
    fn look(&mut self, bytes: &[u8], epoch: u32) -> Found;
    /// What it is when the stream has ended and a look said that more is needed; `None` is a frame cut off.
    fn at_end(&self, _bytes: &[u8]) -> Option<Found> {
        None
    }
    /// How many bytes a whole frame has, where that is a number.
    fn expected(&self) -> Option<usize> {
        None
    }
    /// The frame in words: "a line", "a frame of 10 bytes" …
    fn name(&self) -> String;
    /// The limit that [`Found::TooLong`] is about.
    fn limit(&self) -> usize;
    /// [`Found::TooLong`] in words, given the bytes there are.
    fn too_long(&self, bytes: &[u8]) -> String {
        format!("{} is longer than max_bytes={} ({} bytes have come)", self.name(), self.limit(), bytes.len())
    }
    /// What to look at when a frame does not become whole: a question to put behind a message, or nothing.
    fn hint(&self) -> &'static str {
        ""
    }
}

/// A frame that ends with a separator.
#[derive(Debug)]
pub struct Until<'a> {
    separator: &'a [u8],
    max: usize,
    keep_end: bool,
    /// A line loses a `\r` before its `\n` as well.
    is_line: bool,
    searched: (u32, usize),
}

impl<'a> Until<'a> {
    /// Ends with `separator`, which must not be empty, and is at most `max` bytes long with it.
    #[inline]
    pub fn separator(separator: &'a [u8], max: usize, keep_end: bool) -> Self {
        Self { separator, max, keep_end, is_line: false, searched: (0, 0) }
    }

    /// A line: ends with `\n`; without its end it has lost `\r\n` or `\n`.
    #[inline]
    pub fn line(max: usize, keep_end: bool) -> Self {
        Self { separator: b"\n", max, keep_end, is_line: true, searched: (0, 0) }
    }

    #[inline(always)]
    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        match self.separator {
            [byte] => memchr(*byte, rest),
            longer => memmem::find(rest, longer),
        }
        .map(|at| from + at)
    }
}

impl Framing for Until<'_> {
    #[inline(always)]
    fn look(&mut self, bytes: &[u8], epoch: u32) -> Found {
        let from = if self.searched.0 == epoch { self.searched.1 } else { 0 };
        let within = &bytes[..bytes.len().min(self.max)];
        let Some(at) = self.find(within, from) else {
            // A separator may lie across the end of what is here.
            self.searched = (epoch, within.len().saturating_sub(self.separator.len() - 1));
            return if bytes.len() >= self.max { Found::TooLong } else { Found::More(1) };
        };
        let length = at + self.separator.len();
        let payload = if self.keep_end {
            0..length
        } else if self.is_line && at > 0 && bytes[at - 1] == b'\r' {
            0..at - 1
        } else {
            0..at
        };
        Found::Whole { payload, length }
    }

    fn name(&self) -> String {
        if self.is_line { "a line".into() } else { format!("a frame that ends with b\"{}\"", self.separator.escape_ascii()) }
    }

    fn hint(&self) -> &'static str {
        if self.is_line { ". Does the sender end its line with a newline?" } else { "" }
    }

    fn limit(&self) -> usize {
        self.max
    }
}

/// A frame of a known number of bytes.
#[derive(Debug)]
pub struct Exactly(pub usize);

impl Framing for Exactly {
    fn look(&mut self, bytes: &[u8], _epoch: u32) -> Found {
        if bytes.len() >= self.0 { Found::Whole { payload: 0..self.0, length: self.0 } } else { Found::More(self.0 - bytes.len()) }
    }

    fn expected(&self) -> Option<usize> {
        Some(self.0)
    }

    fn name(&self) -> String {
        format!("{} bytes", self.0)
    }

    fn limit(&self) -> usize {
        self.0
    }
}

/// Everything until the end of the stream.
#[derive(Debug)]
pub struct ToEnd {
    /// The most that is taken.
    pub max: usize,
}

impl Framing for ToEnd {
    fn look(&mut self, bytes: &[u8], _epoch: u32) -> Found {
        if bytes.len() > self.max { Found::TooLong } else { Found::More(1) }
    }

    fn at_end(&self, bytes: &[u8]) -> Option<Found> {
        Some(Found::Whole { payload: 0..bytes.len(), length: bytes.len() })
    }

    fn name(&self) -> String {
        "the rest of the stream".into()
    }

    fn limit(&self) -> usize {
        self.max
    }
}

/// The order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Most significant first: network order (RFC 1700).
    Big,
    /// Least significant first.
    Little,
}

/// A frame with its payload's length in front, in 1, 2, 4 or 8 bytes.
#[derive(Debug)]
pub struct Prefixed {
    width: usize,
    order: ByteOrder,
    max: usize,
    announced: Option<u64>,
}

impl Prefixed {
    /// A prefix of `width` bytes before a payload of at most `max`. `None` if there is no such width.
    pub fn new(width: usize, order: ByteOrder, max: usize) -> Option<Self> {
        matches!(width, 1 | 2 | 4 | 8).then_some(Self { width, order, max, announced: None })
    }

    /// The prefix of a payload of `length` bytes; `None` if the number does not fit.
    pub fn header(&self, length: usize) -> Option<Vec<u8>> {
        let number = length as u64;
        if length > self.largest() {
            return None;
        }
        Some(match self.order {
            ByteOrder::Big => number.to_be_bytes()[8 - self.width..].to_vec(),
            ByteOrder::Little => number.to_le_bytes()[..self.width].to_vec(),
        })
    }

    /// The largest payload length that the prefix can hold.
    pub fn largest(&self) -> usize {
        let largest = if self.width == 8 { u64::MAX } else { (1 << (8 * self.width)) - 1 };
        usize::try_from(largest).unwrap_or(usize::MAX)
    }

    fn length(&self, header: &[u8]) -> u64 {
        let mut wide = [0; 8];
        match self.order {
            ByteOrder::Big => {
                wide[8 - self.width..].copy_from_slice(header);
                u64::from_be_bytes(wide)
            }
            ByteOrder::Little => {
                wide[..self.width].copy_from_slice(header);
                u64::from_le_bytes(wide)
            }
        }
    }
}

impl Framing for Prefixed {
    fn look(&mut self, bytes: &[u8], _epoch: u32) -> Found {
        let Some(header) = bytes.get(..self.width) else {
            return Found::More(self.width - bytes.len());
        };
        let announced = self.length(header);
        self.announced = Some(announced);
        match usize::try_from(announced) {
            Ok(size) if size <= self.max && size <= isize::MAX as usize => {
                let length = self.width + size;
                if bytes.len() >= length { Found::Whole { payload: self.width..length, length } } else { Found::More(length - bytes.len()) }
            }
            _ => Found::TooLong,
        }
    }

    fn expected(&self) -> Option<usize> {
        usize::try_from(self.announced?).ok()?.checked_add(self.width)
    }

    fn name(&self) -> String {
        match self.announced {
            Some(size) => format!("a frame of {size} bytes behind its {}-byte prefix", self.width),
            None => format!("a frame's {}-byte prefix", self.width),
        }
    }

    fn too_long(&self, bytes: &[u8]) -> String {
        let announced = self.announced.unwrap_or(0);
        let prefix = &bytes[..self.width.min(bytes.len())];
        let text = if prefix.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            // Four letters make a number beyond a thousand million.
            format!(", being the letters {:?}: perhaps the sender does not put a length in front", String::from_utf8_lossy(prefix))
        } else {
            String::new()
        };
        format!("the prefix announces a frame of {announced} bytes, more than max_bytes={} allows{text}", self.max)
    }

    fn limit(&self) -> usize {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(payload: Range<usize>, length: usize) -> Found {
        Found::Whole { payload, length }
    }

    #[test]
    fn a_line_keeps_or_loses_its_end() {
        assert_eq!(Until::line(9, true).look(b"ab\r\nc", 0), whole(0..4, 4));
        assert_eq!(Until::line(9, false).look(b"ab\r\nc", 0), whole(0..2, 4));
        assert_eq!(Until::line(9, false).look(b"\nc", 0), whole(0..0, 1));
    }

    #[test]
    fn a_limit_counts_the_separator() {
        assert_eq!(Until::line(3, true).look(b"ab\n", 0), whole(0..3, 3));
        assert_eq!(Until::line(3, true).look(b"abc\n", 0), Found::TooLong);
        assert_eq!(Until::line(3, true).look(b"ab", 0), Found::More(1));
    }

    #[test]
    fn a_changed_front_is_searched_again() {
        let mut line = Until::line(99, true);
        assert_eq!(line.look(b"abc", 0), Found::More(1));
        assert_eq!(line.look(b"\nabc", 1), whole(0..1, 1));
    }

    #[test]
    fn a_prefix_too_large_for_memory_is_too_long() {
        let mut frame = Prefixed::new(8, ByteOrder::Big, 100).unwrap();
        assert_eq!(frame.look(&[0xff; 8], 0), Found::TooLong);
        assert!(Prefixed::new(3, ByteOrder::Big, 1).is_none());
        assert_eq!(Prefixed::new(1, ByteOrder::Big, 999).unwrap().header(256), None);
        assert_eq!(Prefixed::new(2, ByteOrder::Little, 999).unwrap().header(258), Some(vec![2, 1]));
    }

    /// Feeds `stream` in the given pieces and collects the frames.
    fn cut<F: Framing>(stream: &[u8], pieces: &[usize], mut rule: impl FnMut() -> F) -> Vec<Vec<u8>> {
        let (mut frames, mut held, mut epoch, mut rest) = (vec![], Vec::new(), 0, stream);
        let mut framing = rule();
        for &size in pieces.iter().chain([&stream.len()]) {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            held.extend_from_slice(piece);
            while let Found::Whole { payload, length } = framing.look(&held, epoch) {
                frames.push(held[payload].to_vec());
                held.drain(..length);
                epoch += 1;
                framing = rule();
            }
        }
        frames
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_separated_frames(
            stream in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a')], 0..200),
            pieces in proptest::collection::vec(0usize..7, 0..60),
            separator in prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b"aaa"[..])],
        ) {
            let at_once = cut(&stream, &[], || Until::separator(separator, 1000, true));
            prop_assert_eq!(cut(&stream, &pieces, || Until::separator(separator, 1000, true)), at_once);
        }

        #[test]
        fn any_split_gives_the_same_prefixed_frames(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            pieces in proptest::collection::vec(0usize..50, 0..60),
            width in prop_oneof![Just(2usize), Just(4), Just(8)],
            order in prop_oneof![Just(ByteOrder::Big), Just(ByteOrder::Little)],
        ) {
            let rule = || Prefixed::new(width, order, 1000).unwrap();
            let mut stream = vec![];
            for payload in &payloads {
                stream.extend(rule().header(payload.len()).unwrap());
                stream.extend(payload);
            }
            prop_assert_eq!(cut(&stream, &pieces, rule), payloads);
        }
    }
}
