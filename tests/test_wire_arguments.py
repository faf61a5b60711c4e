"""The promise: a wrong mischief or a wrong value is told with its name, the value, the limit and the next step, and changes nothing."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
import socklens as sl
from wiring import through

BIG = 262_144
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"splitt": 1}, TypeError, "no mischief called 'splitt'; did you mean 'split'? There are: split, hold, glue"),
    ({"lag": 1}, TypeError, "no mischief called 'lag'; there are: split"),
    (
        {"split": 0},
        ValueError,
        "split is a number of bytes from 1 to 262144 (an empty piece is none), not 0; split=None leaves it out",
    ),
    ({"split": -3}, ValueError, "not -3"),
    ({"split": BIG + 1}, ValueError, "so many bytes the relay holds in a direction"),
    ({"split": True}, TypeError, "not True (bool)"),
    ({"split": 1.5}, TypeError, "not 1.5 (float)"),
    ({"split": "rnd"}, ValueError, '"random"'),
    ({"split": ()}, ValueError, "1 to 1000 sizes, which come in turn, not 0"),
    ({"split": (1, 0)}, ValueError, "split[1] is a number of bytes"),
    ({"split": (1, "x")}, TypeError, "split[1]"),
    ({"hold": -1}, ValueError, "hold is a number of seconds from 0 to 86400 (a day), not -1"),
    ({"glue": 0}, ValueError, "glue=None leaves it out"),
    ({"glue": BIG + 1}, ValueError, "from 1 to 262144"),
    ({"delay": -0.5}, ValueError, "delay is a number of seconds from 0"),
    ({"delay": float("nan")}, ValueError, "not nan"),
    ({"delay": float("inf")}, ValueError, "not inf"),
    ({"delay": "1"}, TypeError, "not '1' (str)"),
    ({"delay": True}, TypeError, "not True (bool)"),
    ({"jitter": -1}, ValueError, "jitter"),
    ({"rate": 0}, ValueError, "to let nothing through, set stalled=True"),
    ({"rate": -5}, ValueError, "1 byte per second or more"),
    ({"rate": float("nan")}, ValueError, "not nan"),
    ({"rate": False}, TypeError, "not False (bool)"),
    ({"stalled": 1}, TypeError, "stalled is True or False, not 1 (int)"),
    ({"reading": None}, TypeError, "reading is True or False"),
    ({"finish_at": -1}, ValueError, "finish_at is a position in the stream"),
    ({"close_at": 2**63}, ValueError, "close_at"),
    ({"reset_at": 1.0}, TypeError, "not 1.0 (float)"),
    ({"flip_at": True}, TypeError, "not True (bool)"),
    ({"refuse": 1}, TypeError, "refuse is True or False"),
    ({"drop": "x"}, ValueError, '"finish" (FIN)'),
    ({"drop": 1}, TypeError, "not 1 (int)"),
    ({"silent": "yes"}, TypeError, "not 'yes' (str)"),
    ({"seed": 1.5}, TypeError, "seed is an int"),
    ({"seed": True}, TypeError, "seed is an int"),
]


@pytest.mark.parametrize(
    ("mischief", "kind", "words"), WRONG, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_what_a_wire_cannot_be_made_with(
    no_leaks: None, mischief: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        sl.Wire("127.0.0.1:9", **mischief)


def test_what_a_running_wire_cannot_be_set_to() -> None:
    with through(split=2) as (wire, client, server):
        for mischief, kind, _ in WRONG:
            ((name, value),) = mischief.items()
            if name in ("splitt", "lag"):
                with pytest.raises(AttributeError, match=f"to_server has no '{name}' to set"):
                    setattr(wire.to_server, name, value)
            elif name in ("refuse", "drop", "silent"):
                with pytest.raises(kind, match=name):
                    setattr(wire, name, value)
            elif name != "seed":
                with pytest.raises(kind, match=rf"to_server\.{name}"):
                    setattr(wire.to_server, name, value)
        assert repr(wire.to_server) == "<to_server: split=2>"
        client.sendall(b"abcd")
        assert [server.recv(10), server.recv(10)] == [b"ab", b"cd"]


def test_a_setting_of_a_direction_is_not_one_of_the_wire() -> None:
    with sl.Wire("127.0.0.1:9") as wire, pytest.raises(AttributeError, match=r"wire\.to_server\.split = 3"):
        wire.split = 3


@pytest.mark.parametrize("seed", [-1, 2**64, 2**70, 0])
def test_any_int_is_a_seed(seed: int) -> None:
    with through(split="random", seed=seed) as (wire, client, server):
        client.sendall(b"some bytes")
        assert server.recv_exactly(10) == b"some bytes"
        assert wire.seed == seed


def test_what_is_no_target() -> None:
    with sl.listen(port=0) as listener:
        closed = sl.listen(port=0)
        closed.close()
        client, server = sl.pair()
        with client, server:
            wrong: list[tuple[Any, type[Exception], str]] = [
                (client, TypeError, "a Connection is no target"),
                (closed, ValueError, "this Listener is closed"),
                (sl.Server(sl.Echo()), ValueError, "start() it first"),
                ("127.0.0.1", ValueError, "has no port"),
                (("127.0.0.1", 0), ValueError, "port 0 cannot be connected to"),
                ("127.0.0.1:70000", OverflowError, "65535"),
                ("http://localhost", ValueError, "is a URL"),
                (None, TypeError, "an address is"),
            ]
            for target, kind, words in wrong:
                with pytest.raises(kind, match=re.escape(words)):
                    sl.Wire(target)
        with pytest.raises(OSError, match="no interface of this machine"):
            sl.Wire(listener, "192.0.2.1")


@pytest.mark.skipif(sys.platform.startswith("linux"), reason="Linux can")
def test_a_system_that_cannot_refuse_says_so() -> None:
    with pytest.raises(NotImplementedError, match="drop=True resets new connections"):
        sl.Wire("127.0.0.1:9", refuse=True)


@pytest.mark.parametrize(("host", "target"), [("127.0.0.1", "localhost"), ("0.0.0.0", "127.0.0.1")])
def test_a_wire_to_itself_is_refused_by_whatever_name(host: str, target: str) -> None:
    with sl.listen() as free:
        port = free.local_addr.port
    with pytest.raises(ValueError, match="a wire to itself"):
        sl.Wire((target, port), host, port)
