"""How an awaited call waits: it is tried; if it would block, its task sleeps until the call is worth another try, and it is tried again.

Whether bytes are taken is decided in the try, when the task runs: a task that is cancelled while it sleeps has taken nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import weakref
from collections.abc import Callable
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from .._socklens import Connection, _OnItsWay, _Readiness, _record_paused, _record_under_way, _seconds, _Try

if TYPE_CHECKING:
    from .._socklens import _Paused

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Timeout: TypeAlias = float | EllipsisType | None

TRY = _Try()
# A call that succeeds at once does not let other tasks run. So that a fast peer cannot keep the loop for itself, each 64th call does,
# before it takes anything.
turns = itertools.cycle(range(64))


# Tries by names of their own, and the call that each is of.
_CALLS = {
    "_sendall_on": "sendall",
    "_send_frame_on": "send_frame",
    "_accept": "accept",
    "next_line": "lines",
    "step": "wait_connected",
}

# Seconds; as in src/core/spin.rs, where the reason is.
_SPIN = 80e-6
# On one core the peer can only answer when this thread lets it.
_yield_the_core: Callable[[], None] = getattr(os, "sched_yield", lambda: None)


class Attempt(Protocol[T_co]):
    """One attempt of a call; BlockingIOError: it would have to wait."""

    def __call__(self, *, timeout: float | _Try) -> T_co: ...


class Target(Protocol):
    """What can be waited for."""

    def _ask(self, readiness: _Readiness, write: bool, way: _OnItsWay | None) -> int | None: ...


class Timed(Target, Protocol):
    """What can be waited for, and has a timeout of its own."""

    @property
    def timeout(self) -> float | None: ...


async def waited(
    target: Timed,
    attempt: Attempt[T],
    timeout: Timeout,
    tried: object = False,
    *,
    write: bool = False,
    way: _OnItsWay | None = None,
) -> T:
    """What the call gives as soon as it need not wait. Callers in a hurry have tried already, unless it was the others' turn."""
    if not tried:
        if timeout is not ...:
            timeout = _seconds(timeout)
        if timeout is ... or not next(turns):
            await let_others_run()
        try:
            return attempt(timeout=TRY)
        except BlockingIOError:
            pass
    return await later(target, attempt, target.timeout if timeout is ... else timeout, write=write, way=way)


async def later(
    target: Target, attempt: Attempt[T], seconds: float | None, *, write: bool = False, way: _OnItsWay | None = None
) -> T:
    """The same for a call that has been tried."""
    loop = _event_loop()
    tries = _Tries(target, attempt, _record_paused())
    if seconds == 0:
        # For the exception that says so.
        return tries(timeout=0)
    try:
        return await _ready(loop, target, tries, seconds, write, way)
    except (asyncio.CancelledError, GeneratorExit) as error:
        # Whatever else ends it comes out of a try, which has told of it.
        tries.end(type(error).__name__, "the task was cancelled while it waited")
        raise


class _Tries(Generic[T]):
    """The tries of a call after its first. A recording shows all as one call; one that began after the first has not seen its begin."""

    __slots__ = ("_attempt", "_paused", "_target")

    def __init__(self, target: Target, attempt: Attempt[T], paused: _Paused | None) -> None:
        self._target = target
        self._attempt = attempt
        self._paused = paused

    def __call__(self, *, timeout: float | _Try) -> T:
        paused = self._paused = self._paused or _record_under_way(self._target)
        return self._attempt(timeout=timeout) if paused is None else paused.again(self._attempt, timeout)

    def end(self, kind: str, text: str) -> None:
        """There will be no other: an exception of this class ends the wait."""
        paused = self._paused or _record_under_way(self._target)
        if paused is not None:
            attempt: Any = self._attempt
            name = getattr(attempt, "func", attempt).__name__
            paused.end(_CALLS.get(name, name), kind, text)


async def _ready(
    loop: asyncio.AbstractEventLoop,
    target: Target,
    attempt: Attempt[T],
    seconds: float | None,
    write: bool,
    way: _OnItsWay | None,
) -> T:
    """Tries again whenever it is worth it."""
    limit = None if seconds is None else loop.time() + seconds
    hub = _Hub.of(loop)
    if not write and isinstance(target, Connection) and hub.nobody_waits and target._spins():
        # To sleep and be woken on another core takes longer than a reply on loopback does.
        end = loop.time() + _SPIN
        hub.spins = True
        try:
            while True:
                await asyncio.sleep(0)
                _yield_the_core()
                try:
                    answer = attempt(timeout=TRY)
                except BlockingIOError:
                    if loop.time() >= end:
                        target._spun(False)
                        break
                else:
                    target._spun(True)
                    return answer
        finally:
            hub.spins = False
    while await hub.event(target, write, way, limit):
        try:
            return attempt(timeout=TRY)
        except BlockingIOError:
            pass
    return attempt(timeout=_Try(seconds))


async def let_others_run() -> None:
    """One turn of the event loop."""
    _event_loop()
    await asyncio.sleep(0)


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "socklens.aio needs asyncio's event loop (uvloop's is one too), and none runs here. Await it in a notebook cell or inside "
            "asyncio.run(...); in trio, wait with trio.lowlevel.wait_readable(conn.fileno()) and then call conn.recv(timeout=0)"
        ) from None


_hubs: weakref.WeakValueDictionary[int, _Hub] = weakref.WeakValueDictionary()


class _Hub:
    """Those who wait in one event loop. It lives as long as the loop watches its descriptor: until the loop is closed."""

    __slots__ = ("__weakref__", "_loop", "_readiness", "_waiting", "spins")

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> _Hub:
        """The loop's one."""
        # A hub holds its loop, so the number is not another's.
        return _hubs.get(id(loop)) or _Hub(loop)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readiness = _Readiness()
        self.spins = False
        # By key and direction.
        self._waiting: dict[tuple[int, bool], tuple[Target, list[asyncio.Future[bool]]]] = {}
        try:
            loop.add_reader(self._readiness.fileno(), self._wake)
        except NotImplementedError:
            raise NotImplementedError(
                f"socklens.aio cannot wait in this event loop ({type(loop).__name__}), which watches no descriptors. Let a thread wait: "
                "await asyncio.to_thread(conn.recv); conn.close() ends it"
            ) from None
        _hubs[id(loop)] = self

    @property
    def nobody_waits(self) -> bool:
        """Whether the loop has none of these calls to take care of."""
        return not (self.spins or self._waiting)

    async def event(self, target: Target, write: bool, way: _OnItsWay | None, limit: float | None) -> bool:
        """Waits until another try is worth it; False: the time was over before."""
        loop = self._loop
        if limit is not None and loop.time() >= limit:
            return False
        number = target._ask(self._readiness, write, way)
        if number is None:
            # Closed, which the next try will say.
            return True
        key = number, write
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault(key, (target, []))[1].append(future)
        timer = None if limit is None else loop.call_at(limit, _settle, future, False)
        woken = False
        try:
            woken = await future
            return woken
        finally:
            if timer is not None:
                timer.cancel()
            if not woken:
                self._forget(key, future)

    def _forget(self, key: tuple[int, bool], future: asyncio.Future[bool]) -> None:
        """Whoever was woken is forgotten already."""
        _, futures = self._waiting.get(key, (None, []))
        if future in futures:
            futures.remove(future)
            if not futures:
                del self._waiting[key]

    def _wake(self) -> None:
        for number, read, write, again in self._readiness.take():
            for direction, ready in ((False, read), (True, write)):
                target, futures = self._waiting.get((number, direction), (None, ()))
                if target is None:
                    continue
                if ready:
                    # All of them: what came may be enough for several.
                    del self._waiting[number, direction]
                    for future in futures:
                        _settle(future, True)
                elif again:
                    target._ask(self._readiness, direction, None)


def _settle(future: asyncio.Future[bool], answer: bool) -> None:
    if not future.done():
        future.set_result(answer)
