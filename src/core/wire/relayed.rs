//! One relayed connection: its two sockets, and in each direction what waits and what is to become of it. One call of `pump` does what can be done
//! now and sleeps for nothing; it ends with what both sockets are to be watched for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::delivering::Lane;
use super::desk::{Desk, Link};
use super::mischief::{Mischief, chance};
use super::schedule::End;
use super::side::Side;
use super::story::What;
use super::{Direction, Settings};
use crate::core::reason;
use crate::core::server::watch::For;

/// How long both ends have to take in that the wire has closed, before what they still send is answered with RST.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client's connect may take to return after the handshake: RST before that would be that call's error, or not, by chance.
pub(super) const ARRIVED: Duration = Duration::from_millis(20);
/// How long a silent connection whose client has finished is kept: as long as a Linux client's end may be (tcp(7), tcp_fin_timeout).
const SILENCE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(60) };
/// How often a silent connection that is not read any more is asked whether its client has finished: the poller cannot tell it.
const STILL_THERE: Duration = Duration::from_secs(1);

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The target has not answered yet.
    Connecting,
    /// Bytes pass.
    Open,
    /// There is no target, and no answer.
    Silent,
    /// The wire has sent FIN to both ends.
    Closing(Duration),
    /// It ends at this time, with RST or with FIN.
    Leaving(Duration, bool),
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Gone,
}

/// See the top of this file. The first side is the client's, the second the target's; direction d reads side d.
#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) link: Arc<Link>,
    phase: Phase,
    pub(super) sides: [Option<Side>; 2],
    pub(super) lanes: [Lane; 2],
    /// Addresses that have not been tried yet.
    targets: Vec<SocketAddr>,
    place: usize,
    /// Why an end broke.
    why: String,
    /// Whose socket has told what.
    readable: [bool; 2],
    /// When to ask whether the client of a silent connection is still there.
    ask: Option<Duration>,
    /// What is told when it has left.
    parting: Option<What>,
}

/// What `pump` works with.
pub(super) struct Bench<'a> {
    pub(super) desk: &'a Desk,
    pub(super) settings: &'a Settings,
    pub(super) space: &'a mut [u8],
}

impl Relayed {
    /// A client has been accepted; `targets` are tried from the last to the first, none for a silent connection.
    pub(super) fn new(link: Arc<Link>, client: Side, targets: Vec<SocketAddr>, place: usize, seed: u64) -> Self {
        // Each direction of each connection has chances of its own.
        let lane = |direction: u64| Lane::new(chance(seed, u64::from(link.number) * 2 + direction));
        let lanes = [lane(0), lane(1)];
        let phase = if targets.is_empty() { Phase::Silent } else { Phase::Connecting };
        link.inodes[0].store(client.inode(), Relaxed);
        Self {
            link,
            phase,
            sides: [Some(client), None],
            lanes,
            targets,
            place,
            why: String::new(),
            readable: [false; 2],
            ask: None,
            parting: None,
        }
    }

    /// When it has to be looked after by the clock.
    pub(super) fn wake(&self) -> Option<Duration> {
        let own = match self.phase {
            // Whatever was to become of its bytes, by now it has but an end.
            Phase::Closing(until) | Phase::Leaving(until, _) => return Some(until),
            Phase::Silent => self.ask,
            _ => None,
        };
        self.lanes.iter().filter_map(|lane| lane.wake).chain(own).min()
    }

    /// An event of one of its sockets, to be followed by a `pump`.
    pub(super) fn told(&mut self, side: usize, readable: bool, writable: bool, desk: &Desk) {
        let Some(told) = &mut self.sides[side] else { return };
        if told.is_idle() {
            // It was not asked for anything: a socket is over in both directions, or broken.
            match told.socket.take_error() {
                Ok(Some(error)) | Err(error) => self.broke(side, &error, desk),
                Ok(None) => told.hangs_up(),
            }
            return;
        }
        self.readable[side] |= readable;
        if writable {
            told.is_full = false;
        }
    }

    /// Sends FIN after all that has been sent by now, and throws away what comes later.
    pub(super) fn finish(&mut self, direction: Direction, now: Duration) {
        let lane = &mut self.lanes[direction as usize];
        if !lane.is_over && lane.last.is_none() {
            let source = self.sides[direction as usize].as_ref();
            lane.ends_after(source.map_or(0, |source| source.unread(lane.read())), now);
        }
    }

    /// Does what can be done now.
    pub(super) fn pump(&mut self, bench: &mut Bench<'_>) -> Fate {
        let fate = self.work(bench);
        for (direction, lane) in self.lanes.iter().enumerate() {
            self.link.waiting[direction].store(lane.schedule.len(), Relaxed);
        }
        if fate == Fate::Stays {
            self.watch(bench);
        }
        fate
    }

    fn work(&mut self, bench: &mut Bench<'_>) -> Fate {
        match self.phase {
            Phase::Connecting => {
                if !self.connects(bench.desk) {
                    return self.still_connects(bench);
                }
            }
            Phase::Silent => {
                self.read(Direction::ToServer, bench);
                if self.side(0).is_none_or(|client| client.is_broken) {
                    return self.is_over(bench.desk);
                }
                if self.side(0).is_some_and(|client| client.has_finished) || self.has_finished_unread(bench) {
                    self.phase = Phase::Closing(bench.desk.now() + SILENCE);
                }
                return Fate::Stays;
            }
            Phase::Closing(until) => return self.close_further(until, bench),
            Phase::Leaving(until, _) if bench.desk.now() < until => return Fate::Stays,
            Phase::Leaving(_, reset) => {
                self.let_go(bench.desk, reset);
                self.parting.take().into_iter().for_each(|what| bench.desk.tell(self.link.number, None, what));
                return Fate::Gone;
            }
            Phase::Open => {}
        }
        for direction in Direction::BOTH {
            self.read(direction, bench);
        }
        for direction in Direction::BOTH {
            if let Some(fate) = self.deliver(direction, bench) {
                return fate;
            }
        }
        self.end_of_both(bench.desk)
    }

    /// Whether the client of a silent connection that is not read has finished.
    fn has_finished_unread(&mut self, bench: &Bench<'_>) -> bool {
        let now = bench.desk.now();
        if self.wants_to_read(Direction::ToServer, &bench.settings.mischief[0]) {
            self.ask = None;
        } else if self.ask.is_none_or(|at| at <= now) {
            self.ask = Some(now + STILL_THERE);
            return self.side(0).is_some_and(Side::has_finished_unread);
        }
        false
    }

    fn side(&self, index: usize) -> Option<&Side> {
        self.sides[index].as_ref()
    }

    /// Whether the connection with the target is made by now.
    fn connects(&mut self, desk: &Desk) -> bool {
        if self.side(0).is_some_and(|client| client.is_broken) {
            return false;
        }
        loop {
            if self.sides[1].is_none() {
                let Some(target) = self.targets.pop() else { return false };
                let Some(watch) = self.side(0).map(Side::watch) else { return false };
                match Side::connect(target, watch, self.place * 2 + 1) {
                    Ok(side) => self.sides[1] = Some(side),
                    Err(error) => {
                        self.why = unreachable(target, &error);
                        continue;
                    }
                }
            }
            let Some(target) = &mut self.sides[1] else { return false };
            match target.is_connected() {
                Ok(true) => {
                    self.link.inodes[1].store(target.inode(), Relaxed);
                    *self.link.onward.lock() = Some(target.local);
                    desk.tell(self.link.number, None, What::Connected(target.local));
                    self.phase = Phase::Open;
                    return true;
                }
                Ok(false) => return false,
                Err(error) => {
                    self.why = unreachable(target.peer, &error);
                    self.sides[1] = None;
                }
            }
        }
    }

    fn still_connects(&mut self, bench: &Bench<'_>) -> Fate {
        if self.side(0).is_some_and(|client| client.is_broken) {
            return self.is_over(bench.desk);
        }
        if self.sides[1].is_some() {
            return Fate::Stays;
        }
        let why = std::mem::take(&mut self.why);
        self.leave(bench.desk, What::Unreachable(why), true);
        Fate::Stays
    }

    /// Ends a connection that has just come, once its client's connect has surely returned.
    pub(super) fn leave(&mut self, desk: &Desk, what: What, reset: bool) {
        self.parting = Some(what);
        self.phase = Phase::Leaving(self.link.since.max(desk.now()) + ARRIVED, reset);
    }

    fn wants_to_read(&self, direction: Direction, mischief: &Mischief) -> bool {
        let lane = &self.lanes[direction as usize];
        let open = !lane.is_over && !lane.schedule.has_ended() && lane.schedule.room() > 0;
        mischief.reading
            && self.side(direction as usize).is_some_and(|side| !side.has_finished && !side.is_broken)
            && (lane.discards || open)
    }

    /// One read, if the socket has told of something.
    fn read(&mut self, direction: Direction, bench: &mut Bench<'_>) {
        let index = direction as usize;
        let mischief = &bench.settings.mischief[index];
        if !self.readable[index] || !self.wants_to_read(direction, mischief) {
            return;
        }
        self.readable[index] = false;
        let lane = &mut self.lanes[index];
        let Some(source) = &mut self.sides[index] else { return };
        let most = lane.most().min(bench.space.len());
        let now = bench.desk.now();
        match source.read(&mut bench.space[..most]) {
            Ok(0) => {
                source.has_finished = true;
                lane.schedule.end(End::Finish, now);
            }
            Ok(count) if lane.discards => {
                let from = lane.read();
                lane.discarded += count as u64;
                bench.desk.tell(self.link.number, Some(direction), What::Discarded(from, from + count as u64));
            }
            Ok(count) => {
                lane.schedule.push(&bench.space[..count], now);
                if lane.schedule.room() == 0 && !std::mem::replace(&mut lane.was_full, true) {
                    bench.desk.tell(self.link.number, Some(direction), What::Full(lane.read()));
                }
                if let Some(last) = lane.last {
                    lane.ends_after(last.saturating_sub(count as u64), now);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.broke(index, &error, bench.desk),
        }
    }

    /// The kernel has given a side up: its peer sent RST, or is away.
    pub(super) fn broke(&mut self, index: usize, error: &io::Error, desk: &Desk) {
        let Some(side) = &mut self.sides[index] else { return };
        if std::mem::replace(&mut side.is_broken, true) {
            return;
        }
        side.unwatch();
        let name = ["the client", "the target"][index];
        self.why = match error.kind() {
            // The kernel tells of a reset once, and to one who writes it is a pipe without an end.
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => format!("{name} reset its connection"),
            _ => format!("{name}: {}", reason::plain(error)),
        };
        self.lanes[index].schedule.end(End::Reset, desk.now());
        self.lanes[index].wake = Some(Duration::ZERO);
        let back = &mut self.lanes[1 - index];
        back.is_over = true;
        back.schedule.clear();
        (back.settling, back.wake) = (None, None);
    }

    fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.schedule.len()).sum()
    }

    /// Resets both connections.
    pub(super) fn reset(&mut self, direction: Direction, mischief: bool, desk: &Desk) -> Fate {
        let position = self.lanes[direction as usize].schedule.position();
        let lost = self.waiting();
        let what = match mischief {
            true => What::ResetEarly(position, lost),
            false => What::Reset(position, lost, std::mem::take(&mut self.why)),
        };
        self.let_go(desk, true);
        desk.tell(self.link.number, Some(direction), what);
        Fate::Gone
    }

    /// Resets both connections because somebody asked for it.
    pub(super) fn reset_now(&mut self, desk: &Desk) {
        let what = What::ResetEarly(self.link.passed()[0], self.waiting());
        self.let_go(desk, true);
        desk.tell(self.link.number, None, what);
    }

    /// Sends FIN to both ends, and then waits for theirs: to close with bytes unread would send RST, which takes away what they have not read yet.
    pub(super) fn close(&mut self, direction: Direction, desk: &Desk) {
        let what = What::ClosedEarly(self.lanes[direction as usize].schedule.position(), self.waiting());
        for lane in &mut self.lanes {
            lane.schedule.clear();
            (lane.is_over, lane.wake, lane.settling) = (true, None, None);
        }
        self.sides.iter_mut().flatten().for_each(Side::finish);
        desk.tell(self.link.number, Some(direction), what);
        self.phase = Phase::Closing(desk.now() + FAREWELL);
    }

    fn close_further(&mut self, until: Duration, bench: &mut Bench<'_>) -> Fate {
        for index in 0..2 {
            let told = std::mem::take(&mut self.readable[index]);
            let Some(side) = self.sides[index].as_mut().filter(|side| told && !side.has_finished) else { continue };
            match side.read(bench.space) {
                Ok(0) => side.has_finished = true,
                Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    self.broke(index, &error, bench.desk)
                }
                _ => {}
            }
        }
        let silent = self.sides[1].is_none() && !self.side(0).is_some_and(|client| client.is_broken);
        let left = silent || self.sides.iter().flatten().any(|side| !side.has_finished && !side.is_broken);
        if left && bench.desk.now() < until { Fate::Stays } else { self.is_over(bench.desk) }
    }

    /// Whether both directions have ended, and nothing is to be read any more.
    fn end_of_both(&mut self, desk: &Desk) -> Fate {
        let over = self.lanes.iter().all(|lane| lane.is_over);
        let read = self.sides.iter().flatten().all(|side| side.has_finished);
        if over && read { self.is_over(desk) } else { Fate::Stays }
    }

    fn is_over(&mut self, desk: &Desk) -> Fate {
        self.let_go(desk, false);
        desk.tell(self.link.number, None, What::Over);
        Fate::Gone
    }

    /// Closes both sockets, with RST or as the kernel does.
    pub(super) fn let_go(&mut self, desk: &Desk, reset: bool) {
        for side in self.sides.iter_mut().filter_map(Option::take) {
            side.close(reset);
        }
        desk.links.lock().retain(|link| !Arc::ptr_eq(link, &self.link));
    }

    /// Watches both sockets for what is wanted of them next.
    fn watch(&mut self, bench: &mut Bench<'_>) {
        for index in 0..2 {
            let read = match self.phase {
                Phase::Connecting | Phase::Leaving(..) => false,
                Phase::Open | Phase::Silent => {
                    self.wants_to_read(Direction::BOTH[index], &bench.settings.mischief[index]) && (index == 0 || self.phase == Phase::Open)
                }
                Phase::Closing(_) => self.side(index).is_some_and(|side| !side.has_finished && !side.is_broken),
            };
            let connecting = self.phase == Phase::Connecting && index == 1;
            let Some(side) = self.sides[index].as_mut().filter(|side| !side.is_broken) else { continue };
            let write = connecting || (side.is_full && self.phase == Phase::Open);
            if let Err(error) = side.watch_for(For { read, write }) {
                // No memory in the kernel for one socket more: it cannot be served.
                self.broke(index, &error, bench.desk);
                self.lanes[index].wake = Some(Duration::ZERO);
            }
        }
    }
}

fn unreachable(target: SocketAddr, error: &io::Error) -> String {
    reason::connect_failed(target, error).to_string()
}
