"""The promise: whenever a signal comes, and however few descriptors there are, a check ends, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import socklens as sl
from helpers import eventually

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

DIALOGUE = [(b"time?\n", b"12:30\n")]


def echo(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data)


def no_child_is_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


# Signals


class Pressed(Exception):
    pass


ran: list[int] = []


def pressed(number: int, frame: FrameType | None) -> None:
    ran.append(number)
    raise Pressed


@pytest.fixture
def press() -> Iterator[Callable[..., None]]:
    """Has another thread take a signal, as in a notebook's kernel. Python's handler is due in the main thread when the call returns."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    told, tells = socket.socketpair()
    tells.setblocking(False)
    before = signal.set_wakeup_fd(tells.fileno())

    def send(*numbers: signal.Signals) -> None:
        for number in numbers:
            assert thread.ident is not None
            signal.pthread_kill(thread.ident, number)
            told.recv(1)

    handler = signal.signal(signal.SIGUSR1, pressed)
    try:
        yield send
    finally:
        signal.signal(signal.SIGUSR1, handler)
        signal.set_wakeup_fd(before)
        over.set()
        thread.join()
        told.close()
        tells.close()


def then(call: Callable[..., Any], do: Callable[[], None]) -> Callable[..., Any]:
    """The same call, and then something else, in this process alone."""
    parent = os.getpid()

    def both(*args: Any, **kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        if os.getpid() == parent:
            do()
        return found

    return both


@pytest.mark.parametrize("target", [echo, "sleep 600 {port}"], ids=["function", "command"])
@pytest.mark.parametrize(
    ("numbers", "raised"),
    [
        ([signal.SIGINT], KeyboardInterrupt),
        ([signal.SIGUSR1], Pressed),
        ([signal.SIGINT, signal.SIGUSR1], (KeyboardInterrupt, Pressed)),
    ],
    ids=["SIGINT", "SIGUSR1", "both"],
)
@pytest.mark.deadline(30)
def test_a_signal_that_another_thread_took_while_a_program_starts(
    monkeypatch: pytest.MonkeyPatch, press: Callable[..., None], target: Any, numbers: list[Any], raised: Any
) -> None:
    ran.clear()
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    where, name = (os, "fork") if target is echo else (subprocess, "Popen")
    monkeypatch.setattr(where, name, then(getattr(where, name), lambda: press(*numbers)))
    with pytest.raises(raised):
        sl.check.echo_server(target)
    assert ran == [number for number in numbers if number == signal.SIGUSR1], "though another one raised before it"
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    assert no_child_is_left()


def test_the_program_has_the_handlers_that_were_there() -> None:
    def ask(conn: sl.Connection) -> bool:
        conn.sendall(b"time?\n")
        conn.recv_line()
        return signal.getsignal(signal.SIGUSR1) is pressed and signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()

    handler = signal.signal(signal.SIGUSR1, pressed)
    try:
        assert sl.check.client(ask, DIALOGUE, returns=True)
    finally:
        signal.signal(signal.SIGUSR1, handler)


def test_handlers_are_put_back_whatever_they_do() -> None:
    from socklens.check._signals import HeldBack

    def other(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Pressed

    before = signal.getsignal(signal.SIGINT)
    handler = signal.signal(signal.SIGUSR1, other)
    held = HeldBack()
    try:
        with pytest.raises(Pressed), held:
            signal.raise_signal(signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN, "what a handler sets is not undone"
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGUSR1, handler)


def test_a_child_that_nobody_knows_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise MemoryError("after the fork")

    monkeypatch.setattr(os, "fork", then(os.fork, fails))
    with pytest.raises(MemoryError):
        sl.check.echo_server(echo)
    assert eventually(lambda: os.waitpid(-1, os.WNOHANG)[0])
    assert no_child_is_left()


# Descriptors


@contextlib.contextmanager
def room_for(count: int) -> Iterator[None]:
    """No more descriptors than these, besides those that there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    gaps: list[int] = []  # below the highest
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                gaps.append(os.open(os.devnull, os.O_RDONLY))
        while free:
            os.close(free.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in (*free, *gaps):
            os.close(number)


@pytest.mark.parametrize("target", [echo, [sys.executable, "-c", "import time; time.sleep(600)", "{port}"]])
def test_where_there_are_few_descriptors_none_is_left_open(target: Any) -> None:
    sl.check.echo_server(echo)  # what is opened once is open
    for count in range(1, 10):
        before = set(os.listdir("/dev/fd"))
        with room_for(count):
            result = sl.check.echo_server(target, timeout=0.5)
        assert not result, count
        assert set(os.listdir("/dev/fd")) == before, (count, result)
        assert no_child_is_left()


def test_a_process_group_is_looked_for_without_a_descriptor() -> None:
    from socklens.check._kernel import group

    with room_for(1), open(os.devnull):
        found = group(os.getpid())
    assert found == {os.getpid()}
