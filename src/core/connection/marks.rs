//! Where the last sends of a connection ended in its stream of bytes: borders that TCP does not carry, for pictures alone. One store a send.

/// How many sends are remembered.
const KEPT: usize = 64;

/// The ends of the last [`KEPT`] sends, as counts of bytes from the start of the stream.
#[derive(Debug)]
pub(super) struct Marks {
    ends: [u64; KEPT],
    count: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self { ends: [0; KEPT], count: 0 }
    }
}

impl Marks {
    /// A send has ended here.
    #[inline]
    pub(super) fn set(&mut self, end: u64) {
        self.ends[self.count % KEPT] = end;
        self.count += 1;
    }

    /// How many sends there were, and the ends of the last of them, oldest first.
    pub(super) fn all(&self) -> (usize, Vec<u64>) {
        let kept = self.count.min(KEPT);
        let ends = (self.count - kept..self.count).map(|number| self.ends[number % KEPT]).collect();
        (self.count, ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_all_are_counted() {
        let mut marks = Marks::default();
        assert_eq!(marks.all(), (0, vec![]));
        for end in 1..=100 {
            marks.set(end * 10);
        }
        let (count, ends) = marks.all();
        assert_eq!((count, ends.len()), (100, KEPT));
        assert_eq!((ends[0], ends[KEPT - 1]), (370, 1000));
    }
}
