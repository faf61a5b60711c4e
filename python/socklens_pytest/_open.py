"""What this process has open at a moment, descriptors and threads, what of it is a test's own, and what is known of each in words. Only
looks.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
import sys
import threading
import traceback
import tracemalloc
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeAlias

import pytest
import socklens as sl

Endpoint: TypeAlias = sl.Connection | sl.Listener | socket.socket
"""An object that has a socket."""

_PYTEST = ("_pytest", "pluggy", "pytest", "socklens_pytest")
_FIRST_CALLS = ("_bootstrap", "_bootstrap_inner", "run")  # of ``threading``, in every thread


@dataclass(frozen=True)
class Open:
    """What was open at one moment: descriptors with what the kernel has behind them, and threads by their number.

    A descriptor's number is given again after a close, so the kernel's own name for what is behind it belongs to it. Where the system
    has no list of descriptors, these are those of the sockets that this program's objects have.
    """

    descriptors: frozenset[tuple[int, str]]
    threads: frozenset[int]

    def since(self, before: Open) -> Open:
        """What was not open before."""
        return Open(self.descriptors - before.descriptors, self.threads - before.threads)

    def __or__(self, other: Open) -> Open:
        return Open(self.descriptors | other.descriptors, self.threads | other.threads)

    def __and__(self, other: Open) -> Open:
        return Open(self.descriptors & other.descriptors, self.threads & other.threads)

    def __bool__(self) -> bool:
        return bool(self.descriptors or self.threads)

    def lines(self) -> list[str]:
        """A line for each: sockets first, each with its endpoints and where it was made."""
        described = self._described()
        sockets = [line for line in described.values() if line is not None]
        others = [f"descriptor {number}: {name}" for (number, name), line in described.items() if line is None]
        return [*sockets, *map(_thread, sorted(self.threads)), *others]

    def sockets(self) -> list[str]:
        """The lines of its TCP sockets alone."""
        return [line for line in self._described().values() if line is not None]

    def _described(self) -> dict[tuple[int, str], str | None]:
        owners = {end.fileno(): end for end in endpoints()} if self.descriptors else {}
        return {one: _socket(one[0], owners.get(one[0])) for one in sorted(self.descriptors)}


def now() -> Open:
    """What is open at this moment."""
    return Open(frozenset(_descriptors()), frozenset(_threads()))


class Own:
    """What a test has opened by itself since a moment. What a module's or a session's fixture opens meanwhile is that fixture's, which
    lives on and closes it at the end of its scope.
    """

    def __init__(self) -> None:
        self._others = now()
        self._until: Open | None = (
            None  # what was open when the fixture of a larger scope began that is set up at this moment
        )

    def now(self) -> Open:
        """What of it is open."""
        mine = now().since(self._others)
        return mine if self._until is None else mine & self._until

    def fixture(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Around the set-up of any fixture, as a hook's wrapper."""
        if fixturedef.scope == "function":
            return (yield)
        before = now()
        outermost = self._until is None
        if outermost:
            self._until = before
        try:
            return (yield)
        finally:
            self._others |= now().since(before)
            if outermost:
                self._until = None


def endpoints() -> list[Endpoint]:
    """Every open socket object of this program that Python's collector knows: socklens' own, and those of ``socket``."""
    kinds = (sl.Connection, sl.Listener, socket.socket)
    # By their type: a proxy answers isinstance() by calling what it stands for.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kinds) and not _is_closed(thing)]


def _socket(number: int, owner: Endpoint | None) -> str | None:
    """A TCP socket in words; None for any other descriptor."""
    made = _made(owner)
    try:
        seen = sl.look(number)
    except (OSError, ValueError):
        return None
    state = "" if seen.state is None else f", {seen.state.name}"
    if seen.backlog is not None:
        return f"listening socket on {seen.local_addr}{made}"
    if seen.peer_addr is None:
        return f"TCP socket, bound to {seen.local_addr}{state}{made}"
    unread = len(seen.input_buffer) if seen.input_buffer is not None else 0
    waiting = f", {unread:,} B unread" if unread else ""
    return f"connection {seen.local_addr} → {seen.peer_addr}{state}{waiting}{made}"


def stack(frame: FrameType | None) -> traceback.StackSummary:
    """The calls down to where a frame stands, without those of pytest, and without what a thread begins with."""
    if frame is None:
        return traceback.StackSummary()
    places = [(frame, line, _module(frame)) for frame, line in traceback.walk_stack(frame)][::-1]
    first = next((at for at, (_, _, module) in enumerate(places) if module == "_pytest"), 0)
    theirs = [(frame, line) for frame, line, module in places[first:] if module not in _PYTEST]
    while theirs and _module(theirs[0][0]) == "threading" and theirs[0][0].f_code.co_name in _FIRST_CALLS:
        del theirs[0]
    return traceback.StackSummary.extract(theirs)


def _module(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


def _is_closed(end: Endpoint) -> bool:
    return end.fileno() < 0 if isinstance(end, socket.socket) else end.closed


def _made(owner: Endpoint | None) -> str:
    """Where it was made, as the end of a line: socklens' own know, of others ``tracemalloc`` knows if it was on."""
    if isinstance(owner, sl.Connection | sl.Listener):
        return f", made in {owner.created_at}"
    traced = None if owner is None else tracemalloc.get_object_traceback(owner)
    return "" if traced is None else f", made in {traced[-1].filename}, line {traced[-1].lineno}"


def _descriptors() -> Iterator[tuple[int, str]]:
    """Each descriptor, with the kernel's name for what is behind it (Linux), or its kind and number (fstat(2))."""
    listed = next((folder for folder in ("/proc/self/fd", "/dev/fd") if os.path.isdir(folder)), None)
    numbers = [end.fileno() for end in endpoints()] if listed is None else map(int, os.listdir(listed))
    for number in numbers:
        # The one that listed the folder is closed by now; on Windows a socket is no file.
        with contextlib.suppress(OSError):
            if listed == "/proc/self/fd":
                yield number, os.readlink(f"{listed}/{number}")
            else:
                found = os.fstat(number)
                kind = "socket" if stat.S_ISSOCK(found.st_mode) else "file"
                yield number, f"{kind} {found.st_dev}:{found.st_ino}"


def _threads() -> Iterator[int]:
    """The system's numbers of all threads; only those of Python where the system has no list."""
    try:
        # Among the tasks are those that Rust started, which `threading` does not know.
        yield from map(int, os.listdir("/proc/self/task"))
    except OSError:
        yield from (thread.native_id for thread in threading.enumerate() if thread.native_id is not None)


def _thread(number: int) -> str:
    thread = next((thread for thread in threading.enumerate() if thread.native_id == number), None)
    if thread is None:
        return f"thread {number}, not one of Python's"
    places = stack(sys._current_frames().get(thread.ident or 0))
    stands = f", which stands in {places[-1].filename}, line {places[-1].lineno}" if places else ""
    return f"thread {thread.name!r}{stands}"
