//! Bytes that left the kernel's receive queue and were not handed out yet, and a copy of the last bytes sent. Plain containers: the read that
//! fills one is the caller's.

use std::io;
use std::mem::MaybeUninit;

/// The first read of a connection asks for this much; each read that fills its chunk doubles the next, up to [`LARGEST_CHUNK`].
const FIRST_CHUNK: usize = 4 << 10;
const LARGEST_CHUNK: usize = 256 << 10;
/// An empty memory larger than this goes back to the allocator.
const KEEP: usize = 512 << 10;

/// The part of the input buffer that lies in Rust.
#[derive(Debug, Default)]
pub struct Memory {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    chunk: u32,
    /// Counts every change at the front, so that a half-done search knows to start again.
    epoch: u32,
}

impl Memory {
    /// What it holds, oldest first.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Changes whenever bytes were taken from or put at the front.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Drops the oldest `count` bytes, which somebody has taken.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.epoch = self.epoch.wrapping_add(1);
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
            if self.bytes.len() > KEEP {
                self.bytes = Vec::new();
            }
        }
    }

    /// Moves the oldest bytes into `target`, as many as fit, and tells how many.
    pub fn take_into(&mut self, target: &mut [MaybeUninit<u8>]) -> usize {
        let count = self.copy_to(target);
        if count > 0 {
            self.consume(count);
        }
        count
    }

    /// Copies the oldest bytes to `target`, as many as fit, and tells how many.
    pub fn copy_to(&self, target: &mut [MaybeUninit<u8>]) -> usize {
        for (to, from) in target.iter_mut().zip(self.as_slice()) {
            to.write(*from);
        }
        self.len().min(target.len())
    }

    /// Puts bytes back in front of all others.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.epoch = self.epoch.wrapping_add(1);
        if bytes.len() > self.start {
            // Room in front, and as much again: whoever puts back byte by byte does not move everything each time.
            let held = self.len();
            let start = bytes.len() + (bytes.len() + held) / 2;
            let mut larger = vec![0; start + held];
            larger[start..].copy_from_slice(self.as_slice());
            self.bytes = larger;
            self.start = start;
            self.end = start + held;
        }
        self.start -= bytes.len();
        self.bytes[self.start..self.start + bytes.len()].copy_from_slice(bytes);
    }

    /// Adds bytes behind what it holds, in room that fits them.
    ///
    /// # Errors
    /// There is no memory.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.make_room(bytes.len(), bytes.len())?;
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
        Ok(())
    }

    /// Gives the room of an empty memory back.
    pub fn give_back(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// One `read` behind what it holds; `missing` is how many bytes the reader still lacks, if that is known.
    ///
    /// # Errors
    /// Those of the read, or that there is no memory; nothing is lost then.
    pub fn fill(&mut self, missing: usize, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        let wanted = (self.chunk as usize).max(FIRST_CHUNK).max(missing.min(LARGEST_CHUNK));
        self.make_room(wanted, FIRST_CHUNK)?;
        let room = self.end..self.end + wanted;
        let count = read(&mut self.bytes[room])?;
        self.end += count;
        if count == wanted {
            self.chunk = (wanted * 2).min(LARGEST_CHUNK) as u32;
        }
        Ok(count)
    }

    fn make_room(&mut self, wanted: usize, at_least: usize) -> io::Result<()> {
        if self.bytes.len() - self.end >= wanted {
            return Ok(());
        }
        if self.start > 0 && self.bytes.len() - self.len() >= wanted && self.start >= self.len() {
            // At least half of it is free in front: moving costs no more than reading did.
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            let size = (self.end + wanted).max(self.bytes.len() * 2).max(at_least);
            // A frame that the caller allows may be larger than what this machine can hold.
            self.bytes.try_reserve_exact(size - self.bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            self.bytes.resize(size, 0);
        }
        Ok(())
    }
}

/// A copy of the last bytes sent, at most [`Tail::LIMIT`]. Cut to the number that the kernel reports as outstanding, it is what the peer
/// has not acknowledged: the queue itself cannot be read without privileges.
#[derive(Debug, Default)]
pub struct Tail {
    /// As long as it is not full, what was sent; then a ring.
    kept: Vec<u8>,
    /// Where the oldest byte is.
    oldest: usize,
}

impl Tail {
    /// The most that is kept.
    pub const LIMIT: usize = 64 << 10;

    /// Remembers what the kernel just took.
    pub fn push(&mut self, sent: &[u8]) {
        let sent = &sent[sent.len().saturating_sub(Self::LIMIT)..];
        let (first, mut rest) = sent.split_at(sent.len().min(Self::LIMIT - self.kept.len()));
        self.kept.extend_from_slice(first);
        while !rest.is_empty() {
            let (here, further) = rest.split_at(rest.len().min(Self::LIMIT - self.oldest));
            self.kept[self.oldest..][..here.len()].copy_from_slice(here);
            self.oldest = (self.oldest + here.len()) % Self::LIMIT;
            rest = further;
        }
    }

    /// The last `outstanding` bytes sent, or as many of them as are kept.
    pub fn last(&self, outstanding: usize) -> Vec<u8> {
        let (newer, older) = self.kept.split_at(self.oldest);
        let of_newer = &newer[newer.len().saturating_sub(outstanding)..];
        let of_older = &older[older.len().saturating_sub(outstanding - of_newer.len())..];
        [of_older, of_newer].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::io::Read;

    fn filled(bytes: &[u8]) -> Memory {
        let mut memory = Memory::default();
        let mut source = bytes;
        while memory.fill(0, |room| source.read(room)).unwrap() > 0 {}
        memory
    }

    #[test]
    fn memory_is_given_back_when_a_flood_is_over() {
        let mut memory = filled(&vec![7; 1 << 20]);
        memory.consume(1 << 20);
        assert_eq!(memory.bytes.capacity(), 0);
    }

    #[test]
    fn the_tail_keeps_the_newest() {
        let mut tail = Tail::default();
        tail.push(&vec![1; Tail::LIMIT]);
        tail.push(b"xyz");
        assert_eq!(tail.last(4), [1, b'x', b'y', b'z']);
        assert_eq!(tail.last(usize::MAX).len(), Tail::LIMIT);
        tail.push(&vec![2; 3 * Tail::LIMIT]);
        assert_eq!(tail.last(usize::MAX), vec![2; Tail::LIMIT]);
    }

    proptest! {
        #[test]
        fn the_tail_is_the_end_of_all_that_was_sent(sends in proptest::collection::vec(0..40_000usize, 0..12), outstanding in 0..100_000usize) {
            let (mut tail, mut all) = (Tail::default(), Vec::new());
            for (number, length) in sends.into_iter().enumerate() {
                let sent: Vec<u8> = (0..length).map(|i| (i * 31 + number) as u8).collect();
                tail.push(&sent);
                all.extend(sent);
            }
            let kept = outstanding.min(Tail::LIMIT).min(all.len());
            prop_assert_eq!(tail.last(outstanding), &all[all.len() - kept..]);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Fill(Vec<u8>),
        Consume(usize),
        PutBack(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..6000);
        prop_oneof![bytes.clone().prop_map(Step::Fill), (0usize..9000).prop_map(Step::Consume), bytes.prop_map(Step::PutBack),]
    }

    proptest! {
        #[test]
        fn memory_is_a_queue_with_a_put_back(steps in proptest::collection::vec(step(), 0..40)) {
            let mut memory = Memory::default();
            let mut model: VecDeque<u8> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Fill(bytes) => {
                        let mut source = &bytes[..];
                        while memory.fill(0, |room| source.read(room)).unwrap() > 0 {}
                        model.extend(&bytes);
                    }
                    Step::Consume(count) => {
                        memory.consume(count);
                        model.drain(..count.min(model.len()));
                    }
                    Step::PutBack(bytes) => {
                        memory.put_back(&bytes);
                        for &byte in bytes.iter().rev() {
                            model.push_front(byte);
                        }
                    }
                }
                prop_assert_eq!(memory.as_slice(), model.make_contiguous() as &[u8]);
            }
        }
    }
}
