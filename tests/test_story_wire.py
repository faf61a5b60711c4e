"""The promise: where a wire stands between two recorded ends, the story and its ledger say so, and where the rest is told."""

from __future__ import annotations

import pytest
import socklens as sl
from socklens import Story

pytestmark = pytest.mark.usefixtures("no_leaks")


def through(wire: sl.Wire, listener: sl.Listener) -> None:
    with sl.connect(wire.local_addr) as client, listener.accept(timeout=20) as server:
        client.sendall(b"abc")
        assert server.recv_exactly(3, timeout=20) == b"abc"


def told(story: Story) -> list[str]:
    """What is said of wires, the same in every form."""
    notes = [note for note in story._layout().notes if "wire" in note]
    assert list(story.ledger().notes) == notes
    for text in (
        story.to_text(),
        story.to_html(),
        story._repr_html_(),
        str(story.ledger()),
        story.ledger()._repr_html_(),
    ):
        assert all(note in text for note in notes)
    return notes


def test_a_wire_that_was_closed_before_the_story_ended() -> None:
    with sl.listen() as listener, sl.record() as story, sl.Wire(listener) as w:
        client = sl.connect(w.local_addr)
        server = listener.accept(timeout=20)
        client.sendall(b"abc")
        assert server.recv_exactly(3, timeout=20) == b"abc"
        client.close()
        server.close()
    assert told(story) == [f"a wire stands between client client and {listener.local_addr}: see w.story"]
    assert w.closed


def test_while_it_is_recorded_and_without_a_variable() -> None:
    with sl.listen() as listener, sl.record() as story:
        wires = {"a": [sl.Wire(listener)]}
        through(wires["a"][0], listener)
        through(wires["a"][0], listener)
        address = wires["a"][0].local_addr
        said = f"a wire stands between 2 sockets and {listener.local_addr}: see the story of the Wire on {address}"
        assert told(story) == [said]
        wires["a"][0].close()
    assert told(story) == [said]


def direct(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr) as client, listener.accept(timeout=20) as server:
        client.sendall(b"abc")
        assert server.recv_exactly(3) == b"abc"


def test_a_wire_that_nobody_went_through_is_not_told_of() -> None:
    with sl.listen() as listener, sl.Wire(listener), sl.record() as story:
        direct(listener)
    assert told(story) == []


def test_a_port_that_was_a_wires_once_is_no_wires_now() -> None:
    with sl.listen() as target:
        w = sl.Wire(target)
        w.close()
        with sl.record() as story, sl.listen(port=w.local_addr.port) as listener:
            direct(listener)
    assert told(story) == []
