"""The promise: an error of the usual calls shows the caller's line and none of this package's, and a diagnosis still knows whose it is."""

from __future__ import annotations

import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socklens as sl
from network import free_port
from socklens import Cause
from socklens._explain import _scene


def taken(listener: sl.Listener) -> None:
    sl.listen(listener.local_addr)


def taken_by_a_server(listener: sl.Listener) -> None:
    sl.Server(print, listener.local_addr).start()


def entered(listener: sl.Listener) -> None:
    with sl.Server(print, listener.local_addr):
        raise AssertionError


def quoted_port(_: sl.Listener) -> None:
    sl.listen("127.0.0.1", "6666")  # type: ignore[arg-type]


def a_class(_: sl.Listener) -> None:
    sl.Server(sl.Chat)  # type: ignore[arg-type]


def not_started(_: sl.Listener) -> None:
    _address = sl.Server(print).local_addr


def a_negative_timeout(_: sl.Listener) -> None:
    sl.connect("127.0.0.1", 7300, timeout=-1)


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (taken, Cause.ADDRESS_IN_USE),
        (taken_by_a_server, Cause.ADDRESS_IN_USE),
        (entered, Cause.ADDRESS_IN_USE),
        (quoted_port, Cause.NOT_TAKEN),
        (a_class, Cause.NOT_TAKEN),
        (not_started, Cause.NOT_NOW),
        (a_negative_timeout, Cause.NOT_TAKEN),
    ],
)
def test_the_callers_line_alone(call: Callable[..., Any], cause: Cause, listener: sl.Listener) -> None:
    with pytest.raises((OSError, RuntimeError, TypeError, ValueError)) as caught:
        call(listener)
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files == [__file__, __file__], "this test, and the call in it"
    assert _scene.worth_a_look(caught.value)
    assert sl.explain(caught.value).cause is cause


CALLS: dict[str, Callable[[], object]] = {
    "look": lambda: sl.look("no socket"),  # type: ignore[arg-type]
    "look at nothing": lambda: sl.look(1_000_000),
    "watch": lambda: sl.watch(6666),  # type: ignore[arg-type]
    "watch nothing": lambda: sl.watch(),
    "lens": lambda: sl.lens(6666, 6667),  # type: ignore[arg-type]
    "ports": lambda: sl.ports(-1),
    "ports in a state": lambda: sl.ports(state="OPEN"),
    "resolve": lambda: sl.resolve("127.0.0.1:http"),
    "wire": lambda: sl.Wire("nowhere"),
    "wire, mischief": lambda: sl.Wire("127.0.0.1:9", delay=-1),
    "wire, seed": lambda: sl.Wire("127.0.0.1:9", seed="x"),  # type: ignore[arg-type]
    "include": lambda: sl.record().include(6666),  # type: ignore[type-var]
    "echo_server": lambda: sl.check.echo_server(6666),  # type: ignore[arg-type]
    "line_server": lambda: sl.check.line_server(print, requests=[]),
    "chat_server": lambda: sl.check.chat_server(print, timeout=0),
    "http_server": lambda: sl.check.http_server(print, {}),
    "line_server, its answer": lambda: sl.check.line_server(print, lambda line: "text"),  # type: ignore[arg-type, return-value]
    "Check": lambda: sl.check.Check("mine", 6666),  # type: ignore[arg-type]
    "port_check": lambda: sl.port_check(99999),
    "watch three": lambda: sl.watch((1, 2, 3)),  # type: ignore[arg-type]
    "client": lambda: sl.check.client("127.0.0.1:9", [(b"a", b"b")]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nor_those_of_other_calls(call: Callable[[], object]) -> None:
    with pytest.raises((OSError, RuntimeError, TypeError, ValueError, OverflowError)) as caught:
        call()
    assert {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)} == {__file__}


def test_nor_those_of_what_is_set_and_asked(listener: sl.Listener) -> None:
    with sl.Wire(listener) as wire, sl.Server(print) as server:
        for call in (
            lambda: setattr(wire.to_server, "delay", -1),
            lambda: setattr(wire, "refuse", "perhaps"),
            lambda: server.kick("nobody"),
            lambda: server.broadcast("text"),  # type: ignore[arg-type]
        ):
            with pytest.raises((TypeError, ValueError)) as caught:
                call()
            assert {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)} == {__file__}


class Broken:
    """A file-like thing of the caller's, with a fault of the caller's."""

    def fileno(self) -> int:
        return int("no number")


def faulty_dialogue() -> Iterator[tuple[bytes, bytes]]:
    yield b"one\n", b"1\n"
    raise ValueError("there is no second")


def faulty_answer(line: bytes) -> bytes:
    return bytes(line + 1)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: sl.look(Broken()), "fileno"),
        (lambda: sl.check.client(lambda host, port: None, faulty_dialogue()), "faulty_dialogue"),  # type: ignore[arg-type]
        (lambda: sl.check.line_server(print, faulty_answer), "faulty_answer"),
    ],
)
def test_what_the_callers_own_code_raises_keeps_its_lines(call: Callable[[], object], where: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].name == where
    assert {frame.filename for frame in frames} == {__file__}
    assert not hasattr(caught.value, "from_socklens")


def test_what_a_signal_handler_raises_keeps_its_lines() -> None:
    def tired(*_: object) -> None:
        raise TimeoutError("enough")

    class Slow:
        def fileno(self) -> int:
            signal.raise_signal(signal.SIGINT)
            return 0

    before = signal.signal(signal.SIGINT, tired)
    try:
        with pytest.raises(TimeoutError) as caught:
            sl.look(Slow())
    finally:
        signal.signal(signal.SIGINT, before)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "tired"


FULL = """
import socklens as sl
sl.explain_errors()
full = sl.listen(backlog=0)
first = sl.connect(full.local_addr, timeout=20)
second = sl.connect(full.local_addr, timeout=0.2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")
def test_a_connect_that_timed_out_has_its_card() -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", FULL], capture_output=True, text=True, timeout=60)
    assert "cause  the listener's accept queue is full" in ran.stderr, ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")
def test_a_source_that_is_connected_already(listener: sl.Listener) -> None:
    with sl.connect(listener.local_addr, source=("127.0.0.1", free_port())) as first:
        with pytest.raises(OSError, match="these two endpoints") as caught:
            sl.connect(listener.local_addr, source=first.local_addr)
        assert _scene.worth_a_look(caught.value)
        found = sl.explain(caught.value)
    assert found.cause is Cause.ADDRESS_IN_USE
    assert "another source port" in found.next_step
