//! What a recording makes of calls that nest, pause, or were under way before it.

use super::*;

const NOBODY: Whose = Whose { socket: 7_000_000, local: None, peer: None };

fn mine(recording: &Recording) -> Vec<String> {
    // Other tests run meanwhile, and their calls are recorded too.
    let (_, events) = recording.events(0);
    events.into_iter().filter(|event| event.socket == NOBODY.socket).map(|event| event.call.into_owned()).collect()
}

#[test]
fn recordings_nest_and_each_has_what_ended_in_its_time() {
    let outer = Recording::start(100_000);
    at_once("first", NOBODY, Notes::default(), None, false);
    let inner = Recording::start(100_000);
    at_once("second", NOBODY, Notes::default(), None, false);
    assert_eq!(mine(&inner), ["second"]);
    drop(inner);
    at_once("third", NOBODY, Notes::default(), None, false);
    assert_eq!(mine(&outer), ["first", "second", "third"]);
}

#[test]
fn a_full_ring_keeps_the_last_and_counts_the_others() {
    let mut ring = Ring { id: 0, limit: 2, events: VecDeque::new(), lost: 0 };
    for call in ["a", "b", "c"] {
        ring.push(event(call.into(), Some(0), 0, NOBODY, Notes::default(), None));
    }
    assert_eq!(ring.lost, 1);
    assert_eq!(ring.events.iter().map(|event| &*event.call).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn the_notes_of_an_interrupted_call_are_its_own() {
    let _on = Recording::start(1);
    let outer = Call::begin_now();
    note(|notes| notes.end_seen = true);
    let inner = Call::begin_now();
    note(|notes| notes.reset = true);
    inner.end("inner", NOBODY, None);
    let notes = NOTES.get();
    assert!(notes.end_seen && !notes.reset);
    outer.end("outer", NOBODY, None);
}

#[test]
fn a_paused_call_goes_on_as_the_same_one_and_no_other_does() {
    let on = Recording::start(100_000);
    let moved = |at: i64, count| Some(Moved { way: Way::Out, at: Some(at), count });
    let call = Call::begin_now();
    note(|notes| (notes.moved, notes.head) = (moved(10, 2), Head::of(b"ab")));
    call.pause("sendall", NOBODY);
    let paused = Paused::last().unwrap();
    assert!(Paused::last().is_none());
    let other = Whose { socket: NOBODY.socket + 1, ..NOBODY };
    paused.resumed(|| Call::begin_now().end("close", other, None));
    paused.resumed(|| {
        let call = Call::begin_now();
        note(|notes| (notes.moved, notes.head) = (moved(12, 3), Head::of(b"cde")));
        call.end("sendall", NOBODY, None);
    });
    Call::begin_now().end("recv", NOBODY, None);
    let (_, events) = on.events(0);
    let find = |name: &str| events.iter().find(|event| event.call == name && event.socket / 10 == NOBODY.socket / 10).unwrap();
    let whole = find("sendall");
    assert_eq!((whole.began, whole.moved, whole.head.as_slice()), (paused.began, moved(10, 5), &b"abcde"[..]));
    assert!(find("close").began > paused.began && find("recv").began > paused.began);
}

#[test]
fn a_call_that_was_under_way_has_no_begin_and_no_notes_of_another_time() {
    NOTES.set(Notes { era: ERA.load(Relaxed).wrapping_sub(1), reset: true, ..Notes::NONE });
    let on = Recording::start(100_000);
    note(|notes| notes.end_seen = true);
    Call::late().unwrap().end("late", Whose { socket: NOBODY.socket + 20, ..NOBODY }, None);
    let (_, events) = on.events(0);
    let late = events.iter().find(|event| event.call == "late").unwrap();
    assert_eq!((late.began, late.end_seen, late.reset), (None, true, false));
}

#[test]
fn a_task_that_waited_before_has_no_begin_whatever_call_it_is() {
    let on = Recording::start(100_000);
    let whose = Whose { socket: NOBODY.socket + 30, ..NOBODY };
    let paused = Paused::under_way(whose);
    paused.resumed(|| Call::begin_now().end("close", Whose { socket: whose.socket + 1, ..whose }, None));
    paused.resumed(|| Call::begin_now().pause("sendall", whose));
    let again = Paused::last().unwrap();
    again.resumed(|| Call::begin_now().end("sendall", whose, None));
    paused.end("recv".to_owned(), Failure { kind: "CancelledError".into(), code: None, text: String::new() });
    let (_, events) = on.events(0);
    let mut found = events.iter().filter(|event| event.socket / 10 == whose.socket / 10).map(|event| (&*event.call, event.began.is_some()));
    assert_eq!(found.next(), Some(("close", true)));
    assert_eq!(found.next(), Some(("sendall", false)));
    assert_eq!(found.next(), Some(("recv", false)));
}
