//! What holds for every schedule, whatever is set: bytes keep their order, nothing is lost or invented, pieces have their sizes, and the same seed,
//! settings, bytes and times give the same steps. And a relay on real sockets, without Python.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::mischief::{Mischief, Split};
use super::schedule::{CAPACITY, End, Schedule, Step};
use super::{Desk, Direction, Relay, Settings, What, open};
use crate::core::error::Error;
use crate::core::wait::Interrupted;
use crate::core::{Listener, Listening, Patience, Timeout, Uninterrupted, Wait};

/// What left, with the time of each piece, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    pieces: Vec<(Duration, Vec<u8>)>,
    end: Option<Step>,
    flips: usize,
}

impl Run {
    fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }
}

/// Bytes come at given times, then an end; the kernel takes at most `takes` bytes at once. The clock goes where the schedule waits for it.
fn run(seed: u64, mischief: &Mischief, arrivals: &[(u64, Vec<u8>)], end: End, takes: usize) -> Run {
    let mut schedule = Schedule::new(seed);
    let (mut run, mut now) = (Run::default(), Duration::ZERO);
    let mut coming = arrivals.iter();
    let mut next = coming.next();
    let mut ended = false;
    let mut whole = true;
    for _ in 0..100_000 {
        let at = next.map(|(after, _)| now + Duration::from_micros(*after));
        let step = schedule.next(now, mischief);
        match step {
            Step::Send(count) => {
                let (bytes, flip) = schedule.piece(count, mischief);
                assert!(count > 0 && bytes.len() == count);
                run.flips += usize::from(flip.is_some());
                let taken = count.min(takes);
                let bytes = bytes[..taken].to_vec();
                match run.pieces.last_mut() {
                    Some((_, last)) if !whole => last.extend(bytes),
                    _ => run.pieces.push((now, bytes)),
                }
                whole = schedule.sent(taken, count, now, mischief);
            }
            Step::Wait(until) => match (until, at) {
                (_, Some(at)) if until.is_none_or(|until| at <= until) => {
                    now = at;
                    schedule.push(&next.map(|(_, bytes)| bytes.clone()).unwrap_or_default(), now);
                    next = coming.next();
                }
                (Some(until), _) => {
                    assert!(until > now, "a wait for what has passed");
                    now = until;
                }
                (None, _) if !ended => {
                    schedule.end(end, now);
                    ended = true;
                }
                (None, _) => return run,
            },
            step => {
                run.end = Some(step);
                return run;
            }
        }
        assert!(schedule.len() <= CAPACITY);
    }
    unreachable!("it does not come to its end")
}

fn sizes() -> impl Strategy<Value = Split> {
    prop_oneof![Just(Split::Not), Just(Split::Random), prop::collection::vec(1usize..20, 1..4).prop_map(Split::Sizes)]
}

prop_compose! {
    fn harmless()(
        split in sizes(),
        glue in 0usize..60,
        delay in 0u64..5_000,
        jitter in 0u64..5_000,
        rate in prop::option::of(1u64..10_000_000),
    ) -> Mischief {
        Mischief {
            split,
            glue,
            delay: Duration::from_micros(delay),
            jitter: Duration::from_micros(jitter),
            rate: rate.and_then(NonZeroU64::new),
            ..Mischief::default()
        }
    }
}

fn stream() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    prop::collection::vec((0u64..3_000, prop::collection::vec(any::<u8>(), 1..80)), 0..8)
}

fn all(arrivals: &[(u64, Vec<u8>)]) -> Vec<u8> {
    arrivals.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

proptest! {
    #[test]
    fn nothing_is_lost_or_invented(seed: u64, mischief in harmless(), arrivals in stream(), takes in 1usize..200) {
        let run = run(seed, &mischief, &arrivals, End::Finish, takes);
        prop_assert_eq!(run.bytes(), all(&arrivals));
        prop_assert_eq!(run.end, Some(Step::Finish { mischief: false }));
    }

    #[test]
    fn the_same_again_is_the_same(seed: u64, mischief in harmless(), arrivals in stream()) {
        let first = run(seed, &mischief, &arrivals, End::Reset, usize::MAX);
        prop_assert_eq!(&first, &run(seed, &mischief, &arrivals, End::Reset, usize::MAX));
        prop_assert_eq!(first.end, Some(Step::Reset { mischief: false }));
    }

    #[test]
    fn pieces_have_their_sizes_in_turn(
        seed: u64,
        split in prop::collection::vec(1usize..20, 1..4),
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        takes in 1usize..30,
    ) {
        let mischief = Mischief { split: Split::Sizes(split.clone()), ..Mischief::default() };
        let run = run(seed, &mischief, &[(0, bytes.clone())], End::Finish, takes);
        let (last, before) = run.pieces.split_last().unwrap();
        for (turn, (_, piece)) in before.iter().enumerate() {
            prop_assert_eq!(piece.len(), split[turn % split.len()]);
        }
        prop_assert!(last.1.len() <= split[before.len() % split.len()]);
    }

    #[test]
    fn nothing_leaves_before_its_time(seed: u64, delay in 1u64..5_000, jitter in 0u64..5_000, arrivals in stream()) {
        let (delay, jitter) = (Duration::from_micros(delay), Duration::from_micros(jitter));
        let mischief = Mischief { delay, jitter, ..Mischief::default() };
        let run = run(seed, &mischief, &arrivals, End::Finish, usize::MAX);
        let mut came = vec![];
        let mut now = Duration::ZERO;
        for (after, bytes) in &arrivals {
            now += Duration::from_micros(*after);
            came.extend(std::iter::repeat_n(now, bytes.len()));
        }
        let left = run.pieces.iter().flat_map(|(at, bytes)| std::iter::repeat_n(*at, bytes.len()));
        // The clock of a run stands still until the next arrival or wait, so times of arrival are at least those here.
        prop_assert!(left.zip(came).all(|(left, came)| left >= came + delay));
    }

    #[test]
    fn each_of_many_small_messages_is_late_by_the_delay_and_no_more(messages in prop::collection::vec((1u64..1_000, 1usize..4), 1..5_000)) {
        let mischief = Mischief { delay: Duration::from_secs(60), ..Mischief::default() };
        let (mut schedule, mut now, mut expected) = (Schedule::new(1), Duration::ZERO, vec![]);
        for (after, size) in messages {
            now += Duration::from_micros(after);
            schedule.push(&vec![7; size], now);
            expected.push((now + mischief.delay, size));
        }
        for (due, size) in expected {
            prop_assert_eq!(schedule.next(due - Duration::from_nanos(1), &mischief), Step::Wait(Some(due)));
            prop_assert_eq!(schedule.next(due, &mischief), Step::Send(size));
            schedule.sent(size, size, due, &mischief);
        }
    }

    #[test]
    fn a_rate_is_never_exceeded(rate in 1u64..100_000, size in 1usize..5_000) {
        let mischief = Mischief { rate: NonZeroU64::new(rate), ..Mischief::default() };
        let run = run(1, &mischief, &[(0, vec![7; size])], End::Finish, usize::MAX);
        let mut so_far = 0;
        for (at, bytes) in &run.pieces {
            so_far += bytes.len();
            prop_assert!(so_far as f64 <= at.as_secs_f64() * rate as f64 + 1e-3, "{so_far} bytes after {at:?}");
        }
        prop_assert_eq!(so_far, size);
    }

    #[test]
    fn glued_bytes_leave_together(glue in 2usize..200, arrivals in stream()) {
        let mischief = Mischief { glue, ..Mischief::default() };
        let run = run(1, &mischief, &arrivals, End::Finish, usize::MAX);
        if let Some((_, before)) = run.pieces.split_last() {
            prop_assert!(before.iter().all(|(_, piece)| piece.len() >= glue));
        }
    }

    #[test]
    fn an_end_comes_exactly_at_its_position(
        seed: u64,
        mischief in harmless(),
        at in 0u64..300,
        which in 0usize..3,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut mischief = Mischief { glue: 0, ..mischief };
        let step = match which {
            0 => { mischief.reset_at = Some(at); Step::Reset { mischief: true } }
            1 => { mischief.close_at = Some(at); Step::Close }
            _ => { mischief.finish_at = Some(at); Step::Finish { mischief: true } }
        };
        let arrivals = if bytes.is_empty() { vec![] } else { vec![(0, bytes.clone())] };
        let run = run(seed, &mischief, &arrivals, End::Finish, usize::MAX);
        let reached = at <= bytes.len() as u64;
        prop_assert_eq!(run.bytes(), &bytes[..bytes.len().min(at as usize)]);
        prop_assert_eq!(run.end, Some(if reached { step } else { Step::Finish { mischief: false } }));
    }

    #[test]
    fn exactly_one_bit_is_flipped(
        seed: u64,
        mischief in harmless(),
        at in 0u64..300,
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        takes in 1usize..30,
    ) {
        let mischief = Mischief { flip_at: Some(at), ..mischief };
        let run = run(seed, &mischief, &[(0, bytes.clone())], End::Finish, takes);
        let changed: Vec<_> = run.bytes().into_iter().zip(&bytes).map(|(is, was)| is ^ was).enumerate().filter(|(_, bits)| *bits != 0).collect();
        if at < bytes.len() as u64 {
            prop_assert_eq!(changed.len(), 1);
            prop_assert_eq!((changed[0].0 as u64, changed[0].1.count_ones(), run.flips), (at, 1, 1));
        } else {
            prop_assert_eq!((changed.len(), run.flips), (0, 0));
        }
    }
}

#[test]
fn a_stall_holds_everything_and_a_change_takes_effect_at_once() {
    let mut schedule = Schedule::new(1);
    let now = Duration::from_secs(5);
    schedule.push(b"bytes", now);
    schedule.end(End::Reset, now);
    let stalled = Mischief { stalled: true, ..Mischief::default() };
    assert_eq!(schedule.next(now, &stalled), Step::Wait(None));
    let late = Mischief { delay: Duration::from_secs(60), ..Mischief::default() };
    assert_eq!(schedule.next(now, &late), Step::Wait(Some(now + late.delay)));
    assert_eq!(schedule.next(now, &Mischief::default()), Step::Send(5));
}

#[test]
fn what_is_known_of_arrivals_is_bounded_and_given_back() {
    let mut schedule = Schedule::new(1);
    for moment in 0..CAPACITY as u64 {
        assert!(schedule.room() > 0);
        schedule.push(b"x", Duration::from_micros(moment));
    }
    assert_eq!((schedule.room(), schedule.moments()), (0, CAPACITY));
    let now = Duration::from_secs(1);
    assert_eq!(schedule.next(now, &Mischief::default()), Step::Send(CAPACITY));
    assert!(schedule.sent(CAPACITY, CAPACITY, now, &Mischief::default()));
    assert_eq!((schedule.room(), schedule.moments()), (CAPACITY, 0));
}

#[test]
fn random_sizes_are_small_as_often_as_large() {
    let mischief = Mischief { split: Split::Random, ..Mischief::default() };
    let sizes: Vec<usize> = (0..2_000).filter_map(|turn| mischief.piece(turn, 42)).collect();
    assert!(sizes.iter().all(|size| (1..=1024).contains(size)));
    assert!(sizes.iter().filter(|&&size| size <= 8).count() > 400);
    assert!(sizes.iter().filter(|&&size| size > 256).count() > 150);
}

/// A relay that does not run yet: its target, where it listens, and its two halves.
pub(super) fn before_a_target(settings: Settings) -> (TcpListener, SocketAddr, Arc<Desk>, Relay) {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut patience = Uninterrupted;
    let mut wait = Wait::new(Timeout::Forever, &mut patience);
    let listener = Arc::new(Listener::bind("127.0.0.1", 0, &Listening::default(), &mut wait).unwrap());
    let address = listener.local_addr();
    let (desk, relay) = open(listener, vec![target.local_addr().unwrap()], 7, settings).unwrap();
    (target, address, desk, relay)
}

#[test]
fn a_relay_on_real_sockets() {
    let mut settings = Settings::default();
    settings.mischief[Direction::ToServer as usize].split = Split::Sizes(vec![2]);
    let (target, address, desk, relay) = before_a_target(settings);
    let running = std::thread::spawn(move || relay.run(&mut Uninterrupted));

    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, _) = target.accept().unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut pieces = vec![];
    let mut space = [0; 100];
    loop {
        match server.read(&mut space).unwrap() {
            0 => break,
            count => pieces.push(space[..count].to_vec()),
        }
    }
    #[cfg(target_os = "linux")]
    assert_eq!(pieces, [b"he".to_vec(), b"ll".to_vec(), b"o".to_vec()]);
    assert_eq!(pieces.concat(), b"hello");
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    desk.stop(&mut Uninterrupted);
    desk.join(Duration::from_secs(10), &mut Uninterrupted).unwrap();
    assert!(desk.is_over());
    running.join().unwrap();
    let (events, lost) = desk.events();
    assert_eq!(lost, 0);
    assert_eq!(events.iter().filter(|event| matches!(event.what, What::Piece(..))).count(), 3);
    assert!(desk.links().is_empty());
}

/// What nobody runs comes never round.
fn a_relay_that_stands_still() -> (Arc<Desk>, Relay) {
    let (_target, _, desk, relay) = before_a_target(Settings::default());
    (desk, relay)
}

#[test]
fn a_relay_that_does_not_answer_is_told() {
    let (desk, _relay) = a_relay_that_stands_still();
    let Err(Error::TimedOut(message)) = desk.settle("x is set, but not confirmed", &mut Uninterrupted) else { panic!("nobody answers") };
    assert!(message.starts_with("x is set, but not confirmed: the relay of the wire on 127.0.0.1:"), "{message}");
    assert!(message.ends_with("has not answered within 2 s"), "{message}");
    desk.stop(&mut Uninterrupted);
    let Err(Error::TimedOut(message)) = desk.join(Duration::from_secs(1), &mut Uninterrupted) else { panic!("nobody ends") };
    assert!(message.contains("has not ended within 1 s"), "{message}");
}

/// One who is interrupted at the third look.
struct Hasty(u32);

impl Patience for Hasty {
    fn slice(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    fn released(&mut self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    fn check(&mut self) -> Result<(), Interrupted> {
        self.0 += 1;
        if self.0 < 3 { Ok(()) } else { Err(Interrupted) }
    }
}

#[test]
fn whoever_waits_for_a_relay_can_be_interrupted() {
    let (desk, _relay) = a_relay_that_stands_still();
    assert!(matches!(desk.settle("x", &mut Hasty(0)), Err(Error::Interrupted)));
    assert!(matches!(desk.catch_up(&mut Hasty(0)), Err(Error::Interrupted)));
    desk.stop(&mut Uninterrupted);
    assert!(matches!(desk.join(Duration::from_secs(60), &mut Hasty(0)), Err(Error::Interrupted)));
}

#[test]
fn what_is_set_is_told_when_it_holds_and_not_at_all_once_closed() {
    let (desk, relay) = a_relay_that_stands_still();
    desk.set("a".into(), |settings| settings.silent = true).unwrap();
    assert!(desk.events().0.is_empty());
    let running = std::thread::spawn(move || relay.run(&mut Uninterrupted));
    desk.settle("a", &mut Uninterrupted).unwrap();
    assert_eq!(desk.events().0.last().unwrap().what, What::Set("a".into()));
    desk.stop(&mut Uninterrupted);
    desk.join(Duration::from_secs(10), &mut Uninterrupted).unwrap();
    running.join().unwrap();
    for refused in [desk.set("b".into(), |settings| settings.silent = false), desk.reset(), desk.settle("c", &mut Uninterrupted)] {
        assert!(matches!(refused, Err(Error::Closed(_))));
    }
    assert!(desk.settings().silent);
}

#[cfg(target_os = "linux")]
#[test]
fn a_silent_connection_ends_some_time_after_its_client_however_much_it_has_sent() {
    for (much, reading) in [(CAPACITY, true), (1000, false), (100 << 20, true)] {
        let (desk, relay) = a_relay_that_stands_still();
        desk.set(String::new(), |settings| settings.silent = true).unwrap();
        desk.set(String::new(), |settings| settings.mischief[0].reading = reading).unwrap();
        let running = std::thread::spawn(move || relay.run(&mut Uninterrupted));
        let mut client = TcpStream::connect(desk.listener.local_addr()).unwrap();
        client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        // The last of them fills all buffers, so that FIN does not come through.
        assert_eq!(client.write_all(&vec![7; much]).is_ok(), much <= CAPACITY);
        drop(client);
        let patience = std::time::Instant::now() + Duration::from_secs(20);
        while desk.accepted() == 0 || !desk.links().is_empty() {
            assert!(std::time::Instant::now() < patience, "{much} bytes, and it is still kept");
            assert!(desk.catch_up(&mut Uninterrupted).unwrap());
        }
        desk.stop(&mut Uninterrupted);
        running.join().unwrap();
    }
}
