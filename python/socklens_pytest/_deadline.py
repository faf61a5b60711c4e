"""The mark ``deadline``: a test that takes too long fails, with where every thread stood, and the tests after it go on.

The test's thread is interrupted by a signal (setitimer(2), SIGALRM), which ends a wait on a socket, a lock or a sleep as well as a loop.
Where that cannot be had (Windows, pytest not in the main thread, a timer of somebody else's), the sockets that the test has opened are
closed instead, which ends every wait on one of socklens', but no loop.

The set-up of its fixtures, the test and the tear-down have one time together. When it is over before the tear-down, that has it once more:
it closes what the test has used.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from types import FrameType
from typing import Any

import pytest
import socklens as sl

from . import _open

_NAME = "socklens deadline"
_AGAIN = 5.0  # seconds until a test that goes on in spite of it is interrupted once more
_LAST_WORDS = 1.0  # seconds for threads to end
_LEAST = 0.001  # seconds: 0 would be no timer

_UNTIL = pytest.StashKey[float]()
"""On a test with a deadline: when it is over, by `time.monotonic`."""


def serve(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Lets the deadlines listen to pytest.

    Raises:
        pytest.UsageError: a mark or the setting is no number of seconds.
    """
    written: str = config.getini("socklens_deadline")
    everywhere = _seconds(written, f"socklens_deadline = {written}") if written else None
    for item in items:
        _of(item, everywhere)  # a wrong mark is told before any test runs
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Deadlines(everywhere), _NAME)


def _of(item: pytest.Item, everywhere: float | None) -> float | None:
    """The seconds that a test has; None without a deadline."""
    mark = item.get_closest_marker("deadline")
    if mark is None:
        return everywhere
    values = [*mark.args, *mark.kwargs.values()]
    told = f"the mark deadline of {item.nodeid}"
    return _seconds(values[0] if len(values) == 1 else values, told)


def _seconds(value: object, where: str) -> float:
    try:
        seconds = float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise pytest.UsageError(
            f"{where}: a deadline is a number of seconds above 0, not {value!r}; write deadline(10)"
        )
    return seconds


class Deadlines:
    """What pytest tells of every test."""

    def __init__(self, everywhere: float | None) -> None:
        self._everywhere = everywhere
        self._watch: _Alarm | _Closer | None = None
        self._own = _open.Own()
        self._in_debugger = False

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """The fixtures of the test."""
        __tracebackhide__ = True
        seconds = _of(item, self._everywhere)
        if seconds is not None:
            self._own = _open.Own()
            self._in_debugger = False
            item.stash[_UNTIL] = time.monotonic() + seconds
        return (yield from self._bounded(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """What a module's or a session's fixture opens is not closed with the test."""
        __tracebackhide__ = True
        return (yield) if self._watch is None else (yield from self._own.fixture(fixturedef))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """The test itself."""
        __tracebackhide__ = True
        return (yield from self._bounded(item))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """What its fixtures do after it."""
        __tracebackhide__ = True
        return (yield from self._bounded(item, again=True))

    def pytest_enter_pdb(self) -> None:
        """Somebody looks around in the test, and has the time for it."""
        if self._watch is not None:
            self._watch.disarm()
            self._in_debugger = True

    def _bounded(self, item: pytest.Item, again: bool = False) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        seconds = _of(item, self._everywhere)
        if seconds is None or self._in_debugger:
            return (yield)
        if _UNTIL not in item.stash or (again and item.stash[_UNTIL] < time.monotonic()):
            item.stash[_UNTIL] = time.monotonic() + seconds
        kind = _Alarm if _Alarm.can_be_had() else _Closer
        self._watch = watch = kind(seconds, item.stash[_UNTIL], self._own)
        watch.arm()
        try:
            result = yield
            watch.disarm()
        except Exception as error:
            if watch.told:  # it is what a wait raises when its socket is closed
                raise pytest.fail.Exception(watch.told).with_traceback(error.__traceback__) from None
            raise
        finally:
            watch.disarm()
            self._watch = None
            if watch.told:
                watch.close()
        if watch.told:
            pytest.fail(watch.told, pytrace=False)  # it went on
        return result


class _Watch:
    """What both ways have in common. `told` is what is to be said when the time was over, and empty before."""

    def __init__(self, seconds: float, until: float, own: _open.Own) -> None:
        self.told = ""
        self._seconds = seconds
        self._left = max(until - time.monotonic(), _LEAST)
        self._own = own
        self._before = own.now()

    def tell(self) -> None:
        """Looks where everything stands; the first look counts, since the sockets are closed after it."""
        self.told = self.told or "\n".join(_scene(self._seconds, self._own.now()))

    def close(self) -> None:
        """Closes what this stage of the test has opened, so that threads that wait for it end; fixtures close theirs themselves.

        Those threads get a second for it: what they raise belongs to this test, and not to the next.
        """
        mine = self._own.now().since(self._before)
        new = {number for number, _ in mine.descriptors}
        for server in sl.servers():
            if server.listener.fileno() in new:
                server.stop(0)
        for end in _open.endpoints():
            if end.fileno() not in new:
                continue
            if isinstance(end, socket.socket):
                # Unlike close(2) it wakes who waits in another thread.
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            end.close()
        until = time.monotonic() + _LAST_WORDS
        for thread in threading.enumerate():
            if thread.native_id in mine.threads and thread is not threading.current_thread():
                thread.join(max(until - time.monotonic(), 0))


class _Alarm(_Watch):
    """Interrupts the main thread, wherever it is."""

    @staticmethod
    def can_be_had() -> bool:
        """Whether this is the main thread of a system with such signals, and nobody else uses them."""
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            return False
        return signal.getsignal(signal.SIGALRM) == signal.SIG_DFL and signal.getitimer(signal.ITIMER_REAL)[0] == 0

    def arm(self) -> None:
        self._armed = True
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._left, _AGAIN)

    def disarm(self) -> None:
        if self._armed:
            self._armed = False  # first: the signal may come before the next line
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        if self._armed:
            self.tell()
            pytest.fail(self.told)


class _Closer(_Watch):
    """Closes the sockets, from a thread of its own."""

    def arm(self) -> None:
        self._timer = threading.Timer(self._left, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        self._timer.cancel()
        self._timer.join()

    def _ring(self) -> None:
        self.tell()
        self.close()


def _scene(seconds: float, mine: _open.Open) -> Iterator[str]:
    """Where every thread stands, and which sockets the test has open."""
    yield f"the test was not done within its deadline of {seconds:g} s"
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            continue
        stack = _open.stack(frames.get(thread.ident or 0))
        yield f"\n{thread.name} stood in"
        # A thread whose target is not written in Python has no line.
        yield "".join(stack.format()).rstrip() or "  the function that it was started with, which is not of Python"
    if sockets := mine.sockets():
        yield "\nopen sockets of the test"
        yield from (f"  {line}" for line in sockets)
