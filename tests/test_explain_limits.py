"""The promise: `sl.explain` never raises, keeps to its time, opens nothing for good and looks at any error: odd exceptions, closed
descriptors, dead threads, after a fork, with thousands of sockets; and an error that is caught costs nothing more for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import socklens as sl
from explaining import explained
from helpers import in_thread
from hypothesis import given
from hypothesis import strategies as st
from socklens import Cause
from socklens._explain._budget import CAP

HOSTILE = "\x1b[31m<script>\u202e\ud800\0"


class Odd(OSError):
    """Its message, its number and its notes cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no message")

    __repr__ = __str__

    @property
    def errno(self) -> int:  # type: ignore[override]
        raise RuntimeError("no number")


class Strange(OSError):
    """Its attributes are of the wrong kinds."""

    errno = "111"  # type: ignore[assignment]
    exceptions = 5
    reason = property(lambda self: self)
    partial = None


class Partial(EOFError):
    """Claims to be asyncio's, and has something else in it."""

    partial = "text"
    expected = object()


Partial.__name__ = "IncompleteReadError"

numbers = st.integers(-40, 140) | st.sampled_from(sorted(errno.errorcode))
texts = st.text() | st.sampled_from(
    [
        HOSTILE,
        "connect to 127.0.0.1:99999: x",
        "connect to [::1%nowhere]:1: x",
        "recv on Connection 127.0.0.1:1 -> 127.0.0.1:2: x",
        "recv on Connection a:1 -> b:2: x",
        "listen on 999.0.0.1:1: x",
        "connect to 224.0.0.1:0: x",
        "accept on Listener [::]:0: x",
        "Connect call failed ('::1', 99999999999999)",
        'the name "" has no address',
        "[Errno 99999999999999999999] x",
    ]
)
kinds = st.sampled_from(
    [
        *(OSError, ConnectionError, TimeoutError, TypeError, ValueError, socket.gaierror, sl.ClosedError),
        *(sl.IncompleteReadError, sl.FrameTooLongError, Odd, Strange, Partial),
        *(KeyError, KeyboardInterrupt, asyncio.CancelledError, UnicodeDecodeError),
    ]
)


def made(kind: type[BaseException], *args: Any) -> BaseException:
    try:
        return kind(*args)
    except Exception:
        return kind.__new__(kind)


def check(error: BaseException) -> sl.Diagnosis:
    return sound(sl.explain(error))


def sound(found: sl.Diagnosis) -> sl.Diagnosis:
    assert isinstance(found, sl.Diagnosis)
    assert isinstance(found.cause, Cause)
    assert found.next_step
    for drawing in (str(found), found._repr_html_()):
        assert "\x1b" not in drawing
        assert "<script>" not in found._repr_html_()
        drawing.encode("utf-8")
    return found


@given(kinds, numbers, texts)
def test_any_error_can_be_explained(kind: type[BaseException], number: int, text: str) -> None:
    check(made(kind, number, text))
    check(made(kind, text))


def test_hundreds_of_errors_keep_to_the_limit() -> None:
    """On average, so that a machine that pauses does not fail it: 500 of them, in 500 times what the clock allows."""
    errors = [made(OSError, number, "connect to 127.0.0.1:1: x") for number in range(1, 134)]
    errors += [made(OSError, number, "recv on Connection 127.0.0.1:1 -> 127.0.0.1:2: x") for number in range(1, 134)]
    errors += [made(kind, HOSTILE) for kind in (Odd, Strange, Partial, TypeError, socket.gaierror)] * 50
    check(errors[0])
    start = time.monotonic()
    for error in errors:
        sl.explain(error)
    assert time.monotonic() - start < len(errors) * CAP


@pytest.fixture
def crowd() -> Iterator[list[socket.socket]]:
    """2,500 connections between standard sockets of this program: 5,000 sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 6000:
        pytest.skip(f"this user may have {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 6000), hard))
    sockets: list[socket.socket] = []
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
            for _ in range(2500):
                sockets += [socket.create_connection(server.getsockname()), server.accept()[0]]
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_of_sockets(crowd: list[socket.socket]) -> None:
    """Thirty errors that need the whole table, in thirty times what the clock allows; what was not looked at is said."""
    crowd[0].settimeout(0.001)
    port = crowd[1].getsockname()[1]

    def take(address: tuple[str, int]) -> None:
        with socket.socket() as sock:
            sock.bind(address)

    def errors() -> Iterator[tuple[type[BaseException], Any, tuple[Any, ...]]]:
        for _ in range(10):
            yield TimeoutError, crowd[0].recv, (1,)
            yield OSError, take, (("127.0.0.1", port),)
            yield ConnectionRefusedError, sl.connect, ("127.0.0.1", 1)

    caught = []
    for kind, call, args in errors():
        with pytest.raises(kind) as error:
            call(*args)
        caught.append(error.value)
    sl.explain(caught[0])
    start = time.monotonic()
    found = [sl.explain(error) for error in caught]
    assert time.monotonic() - start < len(found) * 2 * CAP
    assert all(one.cause is not Cause.NOT_KNOWN for one in found)
    assert all("50 ms" in what for one in found for what in one.unseen)


def test_nothing_is_left_open(no_leaks: None) -> None:
    for _ in range(20):
        explained(ConnectionRefusedError, sl.connect, "127.0.0.1", 1)


def test_no_descriptor_is_free(pair: tuple[sl.Connection, sl.Connection]) -> None:
    check(OSError(errno.ECONNREFUSED, "x"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        found = [
            check(OSError(number, "connect to 127.0.0.1:1: x")) for number in (errno.ECONNREFUSED, errno.EADDRINUSE)
        ]
        found.append(sound(explained(TimeoutError, pair[0].recv, timeout=0.01)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [one.cause for one in found] == [Cause.NOTHING_LISTENS, Cause.ADDRESS_IN_USE, Cause.NOTHING_SENT]
    assert any("cannot be asked here" in what for what in found[0].unseen), found[0]


def test_a_descriptor_that_was_closed_behind_its_back() -> None:
    one, other = socket.socketpair()
    with other:
        os.close(one.fileno())
        sound(explained(OSError, one.recv, 1))
        one.detach()


def test_an_error_of_a_thread_that_has_ended(pair: tuple[sl.Connection, sl.Connection]) -> None:
    failed = in_thread(pair[0].recv, timeout=0.01).exception(timeout=10)
    assert isinstance(failed, TimeoutError)
    assert check(failed).cause is Cause.NOTHING_SENT


def test_many_at_once() -> None:
    errors = [OSError(number, "connect to 127.0.0.1:1: x") for number in (98, 99, 101, 104, 110, 111)]
    futures = [in_thread(check, error) for error in errors * 5]
    assert all(future.result(timeout=30) for future in futures)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork() -> None:
    code = """
import os, socklens as sl
try:
    sl.connect("127.0.0.1", 1)
except OSError as caught:
    error = caught
sl.explain(error)
child = os.fork()
found = sl.explain(error)
if child == 0:
    os._exit(0 if found.cause is sl.Cause.NOTHING_LISTENS else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), found.cause.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "0 NOTHING_LISTENS\n"


def test_no_error_at_all() -> None:
    for thing in (5, "text", object(), ValueError):
        assert sl.explain(thing).cause is Cause.NOT_KNOWN  # type: ignore[arg-type]


def test_without_an_argument() -> None:
    try:
        sl.connect("127.0.0.1", 1)
    except OSError:
        found = sl.explain()
    assert found.cause is Cause.NOTHING_LISTENS, "of the one that is being handled"


def test_errors_of_files_are_left_alone() -> None:
    for error in (
        FileNotFoundError(2, "x", "file"),
        PermissionError(13, "x", "file"),
        OSError(9, "x"),
        BrokenPipeError(32, "x", "f"),
    ):
        assert sl.explain(error).cause is Cause.NOT_KNOWN
    assert sl.explain(ZeroDivisionError()).cause is Cause.NOT_KNOWN


def test_in_a_group_and_behind_another() -> None:
    refused = ConnectionRefusedError(111, "Connection refused: connect to 127.0.0.1:1: x")
    failed = RuntimeError("it failed")
    failed.__cause__ = refused
    assert sl.explain(failed).cause is Cause.NOTHING_LISTENS
    assert sl.explain(ExceptionGroup("many", [KeyError(), refused])).cause is Cause.NOTHING_LISTENS


def test_a_caught_error_is_not_looked_into() -> None:
    """Nothing of the explanation is even loaded while errors are only caught."""
    code = """
import sys, socklens as sl
a, b = sl.pair()
for _ in range(1000):
    try:
        a.recv(timeout=0)
    except BlockingIOError as error:
        assert not hasattr(error, "__notes__")
print([name for name in sys.modules if "socklens._explain" in name], sys.excepthook is sys.__excepthook__)
a.close(); b.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[] True\n"


def test_looking_calls_nothing_of_the_program() -> None:
    called = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            called.append(name)
            raise AttributeError(name)

        def __eq__(self, other: object) -> bool:
            called.append("==")
            return False

        __hash__ = None  # type: ignore[assignment]

        def fail(self) -> None:
            watched = self
            assert watched is self
            sl.connect("127.0.0.1", 1)

    explained(ConnectionRefusedError, Watched().fail)
    assert called == []
