//! What is counted between the end of the warm-up and the end of the time: operations, seconds, and processor time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use socklens_bench::{cpu, tell};

use crate::options::Options;

/// Everything that is counted, at one moment.
struct Look {
    when: Instant,
    done: u64,
    own_cpu: f64,
    server_cpu: f64,
    counted: u64,
}

/// Asked once a turn; looks twice.
pub(crate) struct Meter<'a> {
    options: &'a Options,
    opened: Instant,
    first: Option<Look>,
    last: Option<Look>,
    notes: u64,
}

impl<'a> Meter<'a> {
    /// The warm-up begins with the first question.
    pub(crate) fn new(options: &'a Options) -> Self {
        Self { options, opened: Instant::now(), first: None, last: None, notes: 0 }
    }

    /// All is connected: the warm-up begins now.
    pub(crate) fn ready(&mut self) {
        self.opened = Instant::now();
    }

    /// Told how many operations are done in all, says whether to go on.
    pub(crate) fn goes_on(&mut self, done: u64) -> io::Result<bool> {
        if self.last.is_some() {
            return Ok(false);
        }
        match &self.first {
            None if self.opened.elapsed() >= self.options.warmup => self.first = Some(self.look(done)?),
            Some(first) if first.when.elapsed() >= self.options.seconds => self.last = Some(self.look(done)?),
            _ => {}
        }
        Ok(self.last.is_none())
    }

    /// Something that came besides the operations.
    pub(crate) fn note(&mut self) {
        self.notes += 1;
    }

    fn look(&self, done: u64) -> io::Result<Look> {
        let mut number = [0; 8];
        if let Some(path) = &self.options.counter {
            File::open(path)?.read_exact_at(&mut number, 0)?;
        }
        let server_cpu = self.options.watched.iter().map(|&process| cpu::of(process)).sum::<io::Result<f64>>()?;
        Ok(Look { when: Instant::now(), done, own_cpu: cpu::own()?, server_cpu, counted: u64::from_ne_bytes(number) })
    }

    /// One line of JSON.
    pub(crate) fn report(&self, mode: &str) -> io::Result<()> {
        let (Some(first), Some(last)) = (&self.first, &self.last) else {
            return Err(io::Error::other("ended before the time was over"));
        };
        let seconds = last.when.duration_since(first.when);
        if last.done == first.done || seconds < Duration::from_millis(1) {
            return Err(io::Error::other("nothing was done in the time"));
        }
        tell(&format!(
            "{{\"mode\": \"{mode}\", \"operations\": {}, \"seconds\": {:.6}, \"load_cpu\": {:.6}, \"server_cpu\": {:.6}, \
             \"counted\": {}, \"notes\": {}}}",
            last.done - first.done,
            seconds.as_secs_f64(),
            last.own_cpu - first.own_cpu,
            last.server_cpu - first.server_cpu,
            last.counted.wrapping_sub(first.counted),
            self.notes,
        ))
    }
}
