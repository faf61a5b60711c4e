//! How long a call waits, and who may end the wait. A timeout becomes a deadline once, at the door; the sleeping itself is in `gate.rs`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::error::{Error, Result};

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Until it is done.
    Forever,
    /// So long; zero never waits.
    After(Duration),
    /// Not at all, for a caller that knows another way to wait: it does not read the message of [`Error::WouldBlock`].
    Attempt,
    /// Not at all, for the last attempt of a caller that has waited for so long already, in nanoseconds. (As a Duration it would make every timeout
    /// larger by half.)
    Over(u64),
}

impl Timeout {
    /// From seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative number or NaN.
    pub fn from_secs(seconds: f64) -> Result<Self> {
        if seconds.is_nan() || seconds < 0.0 {
            return Err(Error::Invalid(format!(
                "a timeout of {seconds} seconds cannot be waited for: give 0 or more seconds, or None to wait for ever"
            )));
        }
        // More than a Duration holds (584 thousand million years) is for ever, and less than a nanosecond is still not zero, which would not wait.
        let least = Duration::from_nanos(u64::from(seconds > 0.0));
        Ok(Duration::try_from_secs_f64(seconds).map_or(Self::Forever, |time| Self::After(time.max(least))))
    }

    /// In seconds; `None` is for ever.
    pub fn as_secs(self) -> Option<f64> {
        match self {
            Self::Forever => None,
            Self::After(time) => Some(time.as_secs_f64()),
            Self::Attempt => Some(0.0),
            Self::Over(nanoseconds) => Some(Duration::from_nanos(nanoseconds).as_secs_f64()),
        }
    }

    /// The last attempt after such a wait.
    pub fn over(self) -> Self {
        match self {
            Self::After(time) => Self::Over(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            other => other,
        }
    }

    /// Whether the caller waits elsewhere.
    pub fn is_elsewhere(self) -> bool {
        matches!(self, Self::Attempt | Self::Over(_))
    }
}

/// A [`Timeout`] that may be read while another thread sets it. An atomic, not a lock: every call reads it, and a line that is in memory already
/// takes no longer than a few locks.
#[derive(Debug)]
pub(crate) struct SharedTimeout(AtomicU64);

impl SharedTimeout {
    pub(crate) fn new(timeout: Timeout) -> Self {
        Self(AtomicU64::new(Self::nanoseconds(timeout)))
    }

    pub(crate) fn get(&self) -> Timeout {
        match self.0.load(Relaxed) {
            u64::MAX => Timeout::Forever,
            nanoseconds => Timeout::After(Duration::from_nanos(nanoseconds)),
        }
    }

    pub(crate) fn set(&self, timeout: Timeout) {
        self.0.store(Self::nanoseconds(timeout), Relaxed);
    }

    /// All ones for ever, which is also where 584 years end.
    fn nanoseconds(timeout: Timeout) -> u64 {
        match timeout {
            Timeout::Forever | Timeout::Attempt | Timeout::Over(_) => u64::MAX,
            Timeout::After(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// A moment at which a wait ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    timeout: Timeout,
    at: Option<Instant>,
}

impl Deadline {
    /// A timeout that starts to run now.
    pub fn starting_now(timeout: Timeout) -> Self {
        let at = match timeout {
            Timeout::Forever | Timeout::Attempt => None,
            Timeout::After(Duration::ZERO) => None,
            Timeout::After(time) => Instant::now().checked_add(time),
            Timeout::Over(_) => Some(Instant::now()),
        };
        Self { timeout, at }
    }

    /// Whether the caller wants one attempt, and no words.
    pub fn is_attempt(&self) -> bool {
        self.timeout == Timeout::Attempt
    }

    /// Whether the caller does not want to wait at all.
    pub fn is_immediate(&self) -> bool {
        matches!(self.timeout, Timeout::After(Duration::ZERO) | Timeout::Attempt)
    }

    /// What is left; `None` is for ever.
    pub fn remaining(&self) -> Option<Duration> {
        if self.is_immediate() {
            return Some(Duration::ZERO);
        }
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The timeout that it was made from.
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }
}

/// The caller asked to stop waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// What the caller lends to a call that may wait: a way to let others run meanwhile, and a way to be called back.
///
/// No lock of this crate is held while `released` runs its work or comes back from it.
pub trait Patience {
    /// The longest sleep after which [`check`](Self::check) must be asked; `None` if it need not be.
    fn slice(&self) -> Option<Duration>;
    /// Runs `work`, which may sleep or take long, while others may run.
    fn released(&mut self, work: &mut (dyn FnMut() + Send));
    /// Whether to go on.
    ///
    /// # Errors
    /// [`Interrupted`] when the wait has to end.
    fn check(&mut self) -> std::result::Result<(), Interrupted>;
}

/// Patience without an interpreter: nothing to let go of, nobody who interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uninterrupted;

impl Patience for Uninterrupted {
    fn slice(&self) -> Option<Duration> {
        None
    }

    fn released(&mut self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    fn check(&mut self) -> std::result::Result<(), Interrupted> {
        Ok(())
    }
}

/// One call's leave to wait: until when, and at whose pleasure.
pub struct Wait<'a> {
    /// When it ends.
    pub deadline: Deadline,
    /// Who lets it wait.
    pub patience: &'a mut dyn Patience,
}

impl<'a> Wait<'a> {
    /// A wait whose timeout starts to run now.
    pub fn new(timeout: Timeout, patience: &'a mut dyn Patience) -> Self {
        Self { deadline: Deadline::starting_now(timeout), patience }
    }

    /// The length of the next sleep: one slice of patience, or what is left until the deadline.
    pub(crate) fn next_sleep(&self) -> Option<Duration> {
        match (self.patience.slice(), self.deadline.remaining()) {
            (Some(slice), Some(left)) => Some(slice.min(left)),
            (slice, left) => slice.or(left),
        }
    }

    /// Asks the caller whether to go on.
    pub(crate) fn check(&mut self) -> std::result::Result<(), Stop> {
        self.patience.check().map_err(|Interrupted| Stop::Interrupted)
    }
}

/// Why a wait ended without what it waited for.
#[derive(Debug)]
pub enum Stop {
    /// The timeout was zero.
    WouldBlock,
    /// The deadline passed.
    TimedOut,
    /// The caller asked to stop.
    Interrupted,
    /// The object was closed meanwhile.
    Closed,
    /// This thread waits in the same direction already, further out.
    Reentered,
    /// A task of this thread's event loop waits in the same direction, and cannot go on while this call waits.
    Awaited,
    /// The system call failed.
    Os(std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        assert_eq!(Timeout::from_secs(0.5).unwrap(), Timeout::After(Duration::from_millis(500)));
        assert_eq!(Timeout::from_secs(f64::INFINITY).unwrap(), Timeout::Forever);
        for bad in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(Timeout::from_secs(bad).unwrap_err().to_string().contains("None to wait for ever"));
        }
    }

    #[test]
    fn no_kind_of_timeout_is_larger_than_the_common_one() {
        assert_eq!(size_of::<Timeout>(), size_of::<Duration>());
        assert_eq!(size_of::<Option<Timeout>>(), size_of::<Duration>());
    }

    #[test]
    fn a_huge_timeout_is_for_ever() {
        assert_eq!(Deadline::starting_now(Timeout::from_secs(1e300).unwrap()).remaining(), None);
    }
}
