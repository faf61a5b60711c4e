//! Two real ends on loopback, without Python: what holds of a connection whoever calls it.
//! An event is a byte that came, or a thread that ended; nothing sleeps.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::core::framing::{ByteOrder, Exactly, Prefixed, Until};
use crate::core::wait::Deadline;
use crate::core::{Opening, connect, pair};

const LONG: Timeout = Timeout::After(Duration::from_secs(20));

fn ends() -> (Connection, Connection) {
    let mut patience = Uninterrupted;
    pair(&Opening::default(), &mut Wait::new(LONG, &mut patience)).unwrap()
}

/// One end is ours, the other the standard library's.
fn with_foreign_peer() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut patience = Uninterrupted;
    let port = listener.local_addr().unwrap().port();
    let ours = connect("127.0.0.1", port, &Opening::default(), &mut Wait::new(LONG, &mut patience)).unwrap();
    (ours, listener.accept().unwrap().0)
}

fn waiting<T>(timeout: Timeout, call: impl FnOnce(&mut Wait<'_>) -> Result<T>) -> Result<T> {
    call(&mut Wait::new(timeout, &mut Uninterrupted))
}

fn line(of: &Connection, timeout: Timeout) -> Result<Option<Vec<u8>>> {
    waiting(timeout, |wait| of.recv_frame("recv_line", &mut Until::line(100, true), wait, |bytes| Ok(bytes.to_vec())))
}

/// Waits until there is something, and takes what is here.
fn recv(of: &Connection, max: usize) -> Result<Vec<u8>> {
    let mut first = [MaybeUninit::uninit()];
    let count = waiting(LONG, |wait| of.peek(&mut first, wait))?;
    let all = of.input()?.content;
    let size = if count == 0 { 0 } else { all.len().min(max) };
    let taken = waiting(LONG, |wait| of.recv_frame("recv", &mut Exactly(size), wait, |bytes| Ok(bytes.to_vec())))?;
    Ok(taken.unwrap_or_default())
}

#[test]
fn lines_come_whole_however_they_were_sent() {
    let (ours, mut peer) = with_foreign_peer();
    peer.set_nodelay(true).unwrap();
    let sender = std::thread::spawn(move || {
        for byte in b"one\ntwo\nthr" {
            peer.write_all(&[*byte]).unwrap();
        }
        peer.write_all(b"ee\n").unwrap();
        peer
    });
    for expected in ["one\n", "two\n", "three\n"] {
        assert_eq!(line(&ours, LONG).unwrap().unwrap(), expected.as_bytes());
    }
    drop(sender.join().unwrap());
    assert!(line(&ours, LONG).unwrap().is_none(), "the end of the stream, between frames");
}

#[test]
fn a_frame_cut_short_by_a_deadline_stays() {
    let (ours, mut peer) = with_foreign_peer();
    peer.write_all(b"half a li").unwrap();
    assert!(matches!(line(&ours, Timeout::After(Duration::from_millis(30))), Err(Error::TimedOut(_))));
    assert_eq!(ours.input().unwrap().content, b"half a li");
    peer.write_all(b"ne\n").unwrap();
    assert_eq!(line(&ours, LONG).unwrap().unwrap(), b"half a line\n");
}

#[test]
fn a_large_read_that_fails_gives_its_bytes_back() {
    let (ours, mut peer) = with_foreign_peer();
    peer.write_all(&[7; 1000]).unwrap();
    let mut space = vec![MaybeUninit::new(0u8); 100_000];
    let short = Timeout::After(Duration::from_millis(30));
    assert!(matches!(waiting(short, |wait| ours.recv_exactly_into(&mut space, wait)), Err(Error::TimedOut(_))));
    let totals = ours.totals();
    assert_eq!((totals.received, totals.read), (1000, 0));
    peer.shutdown(Shutdown::Write).unwrap();
    let Err(Error::Incomplete { partial, expected, .. }) = waiting(LONG, |wait| ours.recv_exactly_into(&mut space, wait)) else {
        panic!("the stream ended inside");
    };
    assert_eq!((partial, expected), (vec![7; 1000], Some(100_000)));
    assert_eq!(recv(&ours, 2000).unwrap(), vec![7; 1000]);
}

#[test]
fn a_reset_is_told_again_and_again() {
    let (ours, peer) = with_foreign_peer();
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    for _ in 0..3 {
        let Err(Error::Os { code, .. }) = recv(&ours, 10) else { panic!("a reset is not an end of stream") };
        assert_eq!(io::Error::from_raw_os_error(code).kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_frame_too_long_stays_and_can_be_taken_otherwise() {
    let (ours, mut peer) = with_foreign_peer();
    peer.write_all(&[b'x'; 200]).unwrap();
    assert!(matches!(line(&ours, LONG), Err(Error::TooLong { limit: 100, .. })));
    let rest = waiting(LONG, |wait| ours.recv_frame("recv_exactly", &mut Exactly(200), wait, |bytes| Ok(bytes.len())));
    assert_eq!(rest.unwrap(), Some(200));
}

#[test]
fn frames_with_a_prefix_go_out_in_one_piece() {
    let (ours, mut peer) = with_foreign_peer();
    let rule = Prefixed::new(2, ByteOrder::Big, 100).unwrap();
    waiting(LONG, |wait| ours.send_frame(b"abc", &rule, wait)).unwrap();
    let mut got = [0; 5];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"\0\x03abc");
    assert!(matches!(waiting(LONG, |wait| ours.send_frame(&[0; 70_000], &rule, wait)), Err(Error::TooLong { .. })));
    assert_eq!(ours.totals().sent, 5, "nothing of the frame that did not fit");
}

#[test]
fn the_output_view_is_what_was_not_acknowledged() {
    let (ours, theirs) = ends();
    let sent: Vec<u8> = (0..8_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let stuck = waiting(Timeout::After(Duration::from_millis(50)), |wait| ours.sendall(&sent, wait));
    let Err(Error::Partly { sent: count, .. }) = stuck else { panic!("nobody reads") };
    let view = ours.output().unwrap();
    if let Some(outstanding) = view.outstanding {
        let end = &sent[..count];
        assert_eq!(view.content, end[count - view.content.len()..]);
        assert_eq!(view.not_kept + view.content.len(), outstanding);
    }
    assert_eq!(ours.totals().sent, count as u64);
    drop(theirs);
}

#[test]
fn closing_wakes_a_reader_and_tells_who_closed() {
    let (ours, _theirs) = ends();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| recv(&ours, 10));
        // Whether the reader sleeps already or is still on its way in, it has to come out.
        ours.close(&mut Uninterrupted);
        let Err(Error::Closed(message)) = reader.join().unwrap() else { panic!("it was closed") };
        assert!(message.contains("was closed by this program"), "{message}");
    });
    assert!(matches!(ours.input(), Err(Error::Closed(_))));
    assert_eq!(ours.totals(), crate::core::Totals::default());
}

#[test]
fn what_is_put_back_comes_first() {
    let (ours, mut peer) = with_foreign_peer();
    peer.write_all(b"world\n").unwrap();
    ours.unrecv(b"hello ").unwrap();
    assert_eq!(line(&ours, LONG).unwrap().unwrap(), b"hello world\n");
    assert!(matches!(ours.unrecv(&vec![0; PUT_BACK_LIMIT + 1]), Err(Error::Held(_))));
}

#[test]
fn an_immediate_deadline_is_none_at_all() {
    let deadline = Deadline::starting_now(Timeout::After(Duration::ZERO));
    assert!(deadline.is_immediate());
    assert_eq!(deadline.remaining(), Some(Duration::ZERO));
}

#[cfg(target_os = "linux")]
#[test]
fn states_follow_a_half_close() {
    use crate::core::TcpState;

    let (ours, theirs) = ends();
    ours.shutdown(Shutdown::Write).unwrap();
    assert_eq!(recv(&theirs, 1).unwrap(), b"");
    assert_eq!(theirs.state().unwrap(), Some(TcpState::CLOSE_WAIT));
    waiting(LONG, |wait| theirs.sendall(b"still", wait)).unwrap();
    assert_eq!(recv(&ours, 10).unwrap(), b"still");
    assert_eq!(ours.state().unwrap(), Some(TcpState::FIN_WAIT_2));
}
