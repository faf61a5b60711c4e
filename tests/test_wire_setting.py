"""The promise: what is set of a wire holds when the assignment returns; one that cannot promise that raises, and says how it stands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from socklens._socklens import _Wire
from socklens.wire import _wire
from wiring import through

pytestmark = pytest.mark.usefixtures("no_leaks")

CHANGES: list[tuple[str, Callable[[sl.Wire], object]]] = [
    ("to_server: split=5", lambda wire: setattr(wire.to_server, "split", 5)),
    ("to_client: delay=0.5", lambda wire: setattr(wire.to_client, "delay", 0.5)),
    ("to_client: stalled=True", lambda wire: wire.to_client.stall()),
    ("to_server: stalled=True", lambda wire: wire.stall()),
    ("to_server: stalled=False", lambda wire: wire.resume()),
    ("to_server: everything as it comes", lambda wire: wire.to_server.clear()),
    ("to_server.finish()", lambda wire: wire.finish()),
    ("reset()", lambda wire: wire.reset()),
    ("refuse=True", lambda wire: setattr(wire, "refuse", True)),
    ("drop='finish'", lambda wire: setattr(wire, "drop", "finish")),
    ("silent=True", lambda wire: setattr(wire, "silent", True)),
]


@pytest.mark.parametrize(("words", "change"), CHANGES, ids=[words for words, _ in CHANGES])
def test_a_closed_wire_takes_no_settings_and_no_orders(words: str, change: Callable[[sl.Wire], object]) -> None:
    with through(split=2) as (wire, _, _):
        wire.close()
        wire.close()
        before = (repr(wire), str(wire), repr(wire.story))
        with pytest.raises(sl.ClosedError) as caught:
            change(wire)
        assert str(caught.value).endswith(f"the wire on {wire.local_addr} was closed by this program")
        assert words in str(caught.value)
        assert (repr(wire), str(wire), repr(wire.story)) == before
        assert (wire.to_server.split, wire.to_server.stalled, wire.refuse, wire.drop, wire.silent) == (
            2,
            False,
            False,
            False,
            False,
        )


def test_a_setter_that_another_thread_closes_ends() -> None:
    with through() as (wire, _, _):
        begun = threading.Event()

        def sets() -> None:
            while True:
                wire.to_server.delay = 0.001
                begun.set()

        ends = []

        def run() -> None:
            try:
                sets()
            except sl.ClosedError as error:
                ends.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert begun.wait(20)
        wire.close()
        thread.join(20)
        assert len(ends) == 1


class Deaf:
    """A relay that does not answer the question of this number: what a program sees of one that hangs."""

    def __init__(self, core: _Wire) -> None:
        self._core = core
        self.answers = 1_000

    def settle(self, how: str) -> None:
        if not self.answers:
            raise TimeoutError(how)
        self.answers -= 1
        self._core.settle(how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


def test_what_is_shown_is_what_was_set_if_the_relay_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wire, "_Wire", lambda *given: Deaf(_Wire(*given)))
    with through() as (wire, _, _):
        core: Any = wire._core
        core.answers = 0
        with pytest.raises(TimeoutError, match=r"^to_server: delay=3.0 is not set$"):
            wire.to_server.delay = 3
        with pytest.raises(TimeoutError, match=r"^silent=True is not set$"):
            wire.silent = True
        assert (wire.to_server.words, wire.arrivals) == ("", "")
        core.answers = 1
        with pytest.raises(TimeoutError, match=r"^to_server: delay=3.0 is set, but not confirmed$"):
            wire.to_server.delay = 3
        core.answers = 1
        with pytest.raises(TimeoutError, match=r"^silent=True is set, but not confirmed$"):
            wire.silent = True
        assert (wire.to_server.words, wire.arrivals) == ("delay=3.0", "silent=True")
        assert [event.text for event in wire.story if event.what == "set"] == ["to_server: delay=3.0", "silent=True"]
