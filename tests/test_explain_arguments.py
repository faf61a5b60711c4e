"""The promise: where socklens does not take an argument, the next step is a step: an instruction, or what would have been right; and where
the message has neither, where to read what the call takes. No sentence that only states what is so stands behind "Write" or "Give".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from explaining import explained
from socklens._explain import _argument

any_sl: Any = sl  # with arguments that the stub refuses
STORY: Any = sl.record()
Pair = tuple[sl.Connection, sl.Connection]

FALSE_STEP = re.compile(r"^(Write|Give another value:) .*( takes | were given|Connection .*->|are not the two ends)")

CALLS: list[tuple[type[Exception], Callable[[], Any], str]] = [
    (TypeError, lambda: any_sl.lens(1, 2), "Give the two ends of a connection"),
    (TypeError, lambda: any_sl.look(1.5), "Give a socket, or something else with fileno()"),
    (TypeError, lambda: any_sl.listen(ports=1), "help(sl.listen) says what it takes"),
    (TypeError, lambda: any_sl.pair(1, 2, 3, 4, 5, 6, 7), "help(sl.pair) says what it takes"),
    (TypeError, lambda: any_sl.connect("127.0.0.1", "6666"), "Write it without quotes"),
    (TypeError, lambda: any_sl.connect("127.0.0.1", 80.0), "Give a whole number from 0 to 65535"),
    (ValueError, lambda: sl.connect("127.0.0.1"), 'Write connect("127.0.0.1", 6666)'),
    (ValueError, lambda: sl.connect("127.0.0.1:80", 81), "Give one"),
    (ValueError, lambda: sl.connect("127.0.0.1", 0), "help(sl.connect) says what it takes"),
    (OverflowError, lambda: sl.listen(port=70000), "Give another value: a port is a 16-bit number, 0 to 65535"),
    (ValueError, lambda: sl.listen(backlog=-1), "Give a number of connections from 0 to 2147483647"),
    (ValueError, lambda: sl.connect("127.0.0.1", 80, timeout=-1), "Give 0 or more seconds, or None to wait for ever"),
    (TypeError, lambda: any_sl.Server(sl.Echo), "Write sl.Echo()"),
    (TypeError, lambda: any_sl.Server(sl.Echo(), max_clients="many"), "Give a number of clients or None"),
    (ValueError, lambda: sl.Server(sl.Echo(), max_clients=0), "Give at least 1"),
    (ValueError, lambda: any_sl.Server(sl.Echo(), mode="one"), "Leave out mode='one'"),
    (ValueError, lambda: any_sl.OnMessage(print, framing="word"), 'Give "line", "frame" or "chunk"'),
    (TypeError, lambda: any_sl.OnMessage(1), "Give a function, callback(conn, message)"),
    (TypeError, lambda: sl.Server(any_sl.OnMessage(bytes.upper)), "Write lambda conn, message: message.upper()"),
    (ValueError, lambda: sl.Wire(sl.Server(sl.Echo())), "start() it first"),
    (TypeError, lambda: sl.Wire("127.0.0.1:9", stalled=1), "Give True or False"),
    (ValueError, lambda: sl.Wire("127.0.0.1:9", rate=0), "To let nothing through, set stalled=True"),
    (TypeError, lambda: any_sl.Wire("127.0.0.1:9", seed="x"), "Give an int"),
    (TypeError, lambda: any_sl.watch(), "help(sl.watch) says what it takes"),
    (TypeError, lambda: STORY.to_svg("story.svg"), "help(sl.Story.to_svg) says what it takes"),
]


@pytest.mark.parametrize(("kind", "call", "step"), CALLS, ids=[step for _, _, step in CALLS])
def test_each_next_step_is_one(kind: type[Exception], call: Callable[[], Any], step: str) -> None:
    found = explained(kind, call)
    assert found.cause is sl.Cause.NOT_TAKEN
    assert found.next_step.startswith(step)
    assert not FALSE_STEP.search(found.next_step)


def test_two_connections_that_are_no_pair(pair: Pair) -> None:
    (ann, _), (bob, other) = pair, sl.pair()
    with bob, other:
        found = explained(ValueError, lambda: sl.lens(ann, bob))
        assert found.next_step == "help(sl.lens) says what it takes"
        assert explained(ValueError, lambda: ann.recv(0)).next_step == "Give a number of bytes, 1 or more"
        with sl.Server(sl.Echo(), port=0) as server:
            step = explained(TypeError, lambda: any_sl.lens(ann, server)).next_step
            assert step == "Give the two ends of a connection"


def test_the_methods_of_what_a_program_has(pair: Pair) -> None:
    conn: Any = pair[0]
    found = explained(TypeError, lambda: conn.recv(1, 2, 3, 4))
    assert found.next_step == "help(sl.Connection.recv) says what it takes"
    assert explained(ValueError, lambda: conn.shutdown("all")).next_step == 'Give "send", "recv" or "both"'


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("lens() takes the two ends of a connection, not a socket; sl.look() looks at it", "sl.look() looks at it"),
        ("Story.to_svg() takes 1 positional argument but 2 were given", "help(sl.f) says what it takes"),
        ("f() got an unexpected keyword argument 'x'. Did you mean 'y'?", "help(sl.f) says what it takes"),
        ("x: g() takes no arguments (1 given)", "help(sl.f) says what it takes"),
        ("a: b; c: write d", "Write d"),
        ("'str' object cannot be interpreted as an integer", "help(sl.f) says what it takes"),
    ],
)
def test_what_of_a_message_is_a_step(text: str, step: str) -> None:
    assert (_argument._step(text) or _argument._fitting(text, "sl.f")) == step
