//! One direction of a relayed connection, on its way out: what the schedule says is done with the receiver's socket, as far as that goes now.

use std::io::ErrorKind;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Direction;
use super::desk::Desk;
use super::mischief::{Mischief, Split};
use super::relayed::{ARRIVED, Bench, Fate, Relayed};
use super::schedule::{End, Schedule, Step};
use super::settling::{Receiver, Settled, Settling, Until, patience};
use super::side::Side;
use super::story::What;

/// Pieces that one direction sends before others have their turn.
const PIECES: usize = 256;
/// How long RST waits for the arrival of what was sent before it.
const ARRIVAL: Duration = Duration::from_secs(1);
/// While a reset waits for its time and the receiver takes nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) schedule: Schedule,
    pub(super) settling: Option<Settling>,
    /// How often in a row the receiver had not read a piece in time.
    pub(super) given_up: u32,
    /// Up to which byte what was sent is known to have arrived.
    pub(super) arrived: u64,
    /// Where the piece began of which the kernel has taken a part.
    pub(super) began: u64,
    /// Nothing more goes to the receiver.
    pub(super) is_over: bool,
    /// How many bytes have still to be read before the direction is to end, if it is.
    pub(super) last: Option<u64>,
    /// What comes is thrown away, and how much that was.
    pub(super) discards: bool,
    pub(super) discarded: u64,
    pub(super) was_full: bool,
    /// When to go on by the clock.
    pub(super) wake: Option<Duration>,
}

impl Lane {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            schedule: Schedule::new(seed),
            settling: None,
            given_up: 0,
            arrived: 0,
            began: 0,
            is_over: false,
            last: None,
            discards: false,
            discarded: 0,
            was_full: false,
            wake: None,
        }
    }

    /// The position behind the last byte that was read.
    pub(super) fn read(&self) -> u64 {
        self.schedule.position() + self.schedule.len() as u64 + self.discarded
    }

    /// How many bytes more may be read.
    pub(super) fn most(&self) -> usize {
        let last = self.last.and_then(|last| usize::try_from(last).ok()).unwrap_or(usize::MAX);
        if self.discards { usize::MAX } else { self.schedule.room().min(last) }
    }

    /// So many bytes more are passed on, and then the direction ends.
    pub(super) fn ends_after(&mut self, count: u64, now: Duration) {
        self.last = Some(count);
        if count == 0 {
            self.schedule.end(End::Finish, now);
            self.discards = true;
        }
    }
}

impl Relayed {
    /// Sends what may leave; `Some` if the connection is over or closing by that.
    pub(super) fn deliver(&mut self, direction: Direction, bench: &mut Bench<'_>) -> Option<Fate> {
        let index = direction as usize;
        let mischief = &bench.settings.mischief[index];
        for _ in 0..PIECES {
            let now = bench.desk.now();
            let lane = &mut self.lanes[index];
            lane.wake = None;
            let source_broke = self.sides[index].as_ref().is_some_and(|side| side.is_broken);
            if lane.is_over {
                // A reset that came after FIN had been passed on.
                return source_broke.then(|| self.reset(direction, false, bench.desk));
            }
            let receiver = self.sides[1 - index].as_mut()?;
            if let Some(settling) = &mut lane.settling {
                let until = settling.until();
                let Side { socket, local, peer, sent, here, .. } = receiver;
                let asked = Receiver { socket, local: *local, peer: *peer, sent: *sent, here };
                match settling.look(now, asked) {
                    Settled::NotYet => {
                        lane.wake = Some(settling.look);
                        return None;
                    }
                    Settled::Yes => lane.given_up = 0,
                    Settled::GivenUp if until == Until::Read => {
                        lane.given_up += 1;
                        bench.desk.tell(self.link.number, Some(direction), What::Unread(lane.schedule.position()));
                    }
                    Settled::GivenUp => {}
                }
                lane.settling = None;
                lane.arrived = receiver.sent;
            }
            if receiver.is_full {
                if lane.schedule.is_broken(now, mischief) {
                    return Some(self.reset(direction, false, bench.desk));
                }
                lane.wake = source_broke.then_some(now + LOOK_AGAIN);
                return None;
            }
            let step = lane.schedule.next(now, mischief);
            if matches!(step, Step::Reset { mischief: true }) && now < self.link.since + ARRIVED {
                lane.wake = Some(self.link.since + ARRIVED);
                return None;
            }
            if matches!(step, Step::Reset { .. } | Step::Close) && lane.arrived < receiver.sent {
                // RST takes away what has not arrived: the bytes before it come first.
                lane.settling = Some(Settling::new(Until::Arrived, now, Some(ARRIVAL)));
                continue;
            }
            match step {
                Step::Wait(until) => {
                    lane.wake = until;
                    return None;
                }
                Step::Send(count) => self.send(direction, count, now, mischief, bench.desk),
                Step::Finish { mischief } => self.pass_finish(direction, mischief, bench.desk),
                Step::Reset { mischief } => return Some(self.reset(direction, mischief, bench.desk)),
                Step::Close => {
                    self.close(direction, bench.desk);
                    return Some(Fate::Stays);
                }
            }
        }
        // Others have their turn before it goes on.
        self.lanes[index].wake = Some(Duration::ZERO);
        None
    }

    fn send(&mut self, direction: Direction, count: usize, now: Duration, mischief: &Mischief, desk: &Desk) {
        let index = direction as usize;
        let tell = |what| desk.tell(self.link.number, Some(direction), what);
        let lane = &mut self.lanes[index];
        let Some(receiver) = &mut self.sides[1 - index] else { return };
        if !lane.schedule.is_amid() {
            lane.began = lane.schedule.position();
        }
        let (bytes, flip) = lane.schedule.piece(count, mischief);
        let sent = receiver.write(bytes);
        if let Some(flip) = flip {
            tell(What::Flipped(flip.at, flip.was, flip.is));
        }
        let taken = match sent {
            Ok(taken) => taken,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(error) => return self.broke(1 - index, &error, desk),
        };
        receiver.is_full = taken < count;
        if taken == 0 {
            return;
        }
        let from = lane.schedule.position();
        let whole = lane.schedule.sent(taken, count, now, mischief);
        let position = lane.schedule.position();
        self.link.passed[index].store(position, Relaxed);
        if mischief.split != Split::Not {
            if whole {
                tell(What::Piece(lane.began, position));
                lane.settling = Some(Settling::new(Until::Read, now, patience(mischief.hold, lane.given_up)));
            }
        } else if mischief.glue > 1 {
            if whole {
                tell(What::Glued(lane.began, position));
            }
        } else if mischief.is_timed() {
            tell(What::Passed(from, position));
        }
    }

    fn pass_finish(&mut self, direction: Direction, mischief: bool, desk: &Desk) {
        let index = direction as usize;
        let lane = &mut self.lanes[index];
        let position = lane.schedule.position();
        let early = mischief || lane.discards;
        if let Some(receiver) = &mut self.sides[1 - index] {
            receiver.finish();
        }
        lane.is_over = true;
        lane.discards = early;
        desk.tell(self.link.number, Some(direction), if early { What::FinishedEarly(position) } else { What::Finished(position) });
        let lost = lane.schedule.clear() as u64;
        if lost > 0 {
            lane.discarded += lost;
            desk.tell(self.link.number, Some(direction), What::Discarded(position, position + lost));
        }
    }
}
