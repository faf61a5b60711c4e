"""What a server remembers over its life: how many came, whom it dropped and what went wrong. Nothing here touches a socket,
and nothing is printed: the records are there to be asked for.
"""

from __future__ import annotations

import itertools
import os
import threading
import traceback
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Generic, Literal, NamedTuple, TypeVar

from .. import _cells
from .._address import Address

KEPT = 1000
"""How many errors, and how many dropped clients, a server remembers: the newest."""

KICKED = "kicked"
TOO_SLOW = "too slow"
IDLE = "idle"
STOPPED = "stopped"
GOES_ON = "its handler goes on"

_T = TypeVar("_T")


class Who(NamedTuple):
    """A client as a record keeps it: its name, or None, and its address."""

    name: str | None
    peer_addr: Address


@dataclass(frozen=True)
class Dropped:
    """A client whose connection the server ended, instead of its handler or the client itself.

    Attributes:
        name: the name that it was given, or None.
        peer_addr: its address.
        reason: ``"kicked"``, ``"too slow"`` (it did not take what was broadcast), ``"idle"`` (nothing came for ``idle_timeout``
            seconds), ``"stopped"`` (its handler had not ended when the server stopped), or ``"its handler goes on"`` (nor after that:
            the connection is closed, but the thread is still at work). Handlers in Rust give theirs as a sentence, such as ``"it sent
            a line longer than 65536 bytes"``.
        when: the moment, in local time.
        unsent: bytes that its output buffer still held then; whether they arrive is not known.
    """

    name: str | None
    peer_addr: Address
    reason: str
    when: datetime
    unsent: int

    def __str__(self) -> str:
        unsent = f", {self.unsent:,} B unsent" if self.unsent else ""
        return f"{self.when:%H:%M:%S} {_whose(self.name, self.peer_addr)}: {self.reason}{unsent}"


class Left(NamedTuple):
    """A client whose handler has ended: what an explanation of its error may ask for."""

    peer_addr: Address
    unread: int
    """Bytes that had come and were not read when it ended; 0 where its handler had closed the connection itself."""
    when: datetime


@dataclass(frozen=True)
class ServerError:
    """Something that went wrong while a server was at work: what a handler raised, or trouble with accepting clients.

    Attributes:
        client: the client's ``name`` and ``peer_addr``; None for trouble that is no client's.
        exception: what was raised.
        traceback: the same as text, as Python prints it.
        when: the moment, in local time; of the first one where it came several times.
        count: how many times it came in a row: an accept error that repeats is counted, not piled up. 1 for a handler's.
        where: the line of the program that it came from, such as ``"cell In[3], line 2"``; None where no line of the program was at work.

    It shows itself with its traceback; ``str(error)`` is a line.
    """

    client: Who | None
    exception: BaseException
    traceback: str = field(repr=False)
    when: datetime
    count: int
    where: str | None

    def __str__(self) -> str:
        whose = "accepting clients" if self.client is None else _whose(*self.client)
        times = f", {self.count} times" if self.count > 1 else ""
        where = f" ({self.where})" if self.where else ""
        return f"{self.when:%H:%M:%S} {whose}: {type(self.exception).__name__}: {self.exception}{times}{where}"

    def __repr__(self) -> str:
        from ..display.records import error_text

        return error_text(str(self), self.traceback)

    def _repr_html_(self) -> str:
        from ..display.records import error_html

        return error_html(str(self), self.traceback)


def _whose(name: str | None, peer_addr: Address) -> str:
    return str(peer_addr) if name is None else f"{peer_addr} ({name!r})"


class Log(list[_T]):
    """A list of the newest records, oldest first; ``lost`` says how many older ones are no longer kept. Prints a line for each."""

    def __init__(self, records: Iterable[_T] = (), lost: int = 0) -> None:
        super().__init__(records)
        self.lost = lost

    def __repr__(self) -> str:
        from ..display.records import log_text

        return log_text(self._lines())

    def _repr_html_(self) -> str | None:
        from ..display.records import log_html

        kind = "dropped client" if self and isinstance(self[0], Dropped) else "error"
        return log_html(f"{len(self):,} {kind}{'' if len(self) == 1 else 's'}", self._lines()) if self else None

    def _lines(self) -> list[str]:
        lost = [f"{self.lost:,} older ones are no longer kept"] if self.lost else []
        return [*lost, *map(str, self)]


class _Newest(Generic[_T]):
    """The newest records, and how many there have been."""

    def __init__(self) -> None:
        self.records: deque[_T] = deque(maxlen=KEPT)
        self.total = 0

    def add(self, record: _T) -> None:
        self.records.append(record)
        self.total += 1

    def log(self) -> Log[_T]:
        return Log(self.records, self.total - len(self.records))


class Ledger:
    """The record of one server. Any thread may add to it; what it gives out is a copy."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._errors: _Newest[ServerError] = _Newest()
        self._dropped: _Newest[Dropped] = _Newest()
        self._left: deque[Left] = deque(maxlen=KEPT)

    def errors(self) -> Log[ServerError]:
        """What went wrong so far."""
        with self._lock:
            return self._errors.log()

    def dropped(self) -> Log[Dropped]:
        """Who was dropped so far."""
        with self._lock:
            return self._dropped.log()

    def left(self, peer_addr: Address) -> Left | None:
        """The newest client with this address whose Python handler has ended."""
        return next((left for left in reversed(tuple(self._left)) if left.peer_addr == peer_addr), None)

    def leave(self, left: Left) -> None:
        """Notes that a client's handler has ended."""
        self._left.append(left)

    def lost(self, kind: Literal["dropped", "error"], count: int) -> None:
        """Counts records that were not kept before they came here."""
        with self._lock:
            (self._dropped if kind == "dropped" else self._errors).total += count

    def drop(self, dropped: Dropped) -> None:
        """Notes a dropped client."""
        with self._lock:
            self._dropped.add(dropped)

    def failed(self, client: Who | None, error: BaseException, when: datetime | None = None) -> None:
        """Notes what a handler raised. The frames' variables are let go: they would keep alive whatever the handler had at hand."""
        error.__traceback__ = _of_the_handler(error.__traceback__)
        text = "".join(traceback.format_exception(error))
        where = _line_of(error.__traceback__)
        _let_go(error)
        with self._lock:
            self._errors.add(ServerError(client, error, text, when or datetime.now(), 1, where))

    def trouble(self, error: BaseException, when: datetime | None = None) -> None:
        """Notes trouble with accepting; the same again only raises the count of the last note."""
        error.__traceback__ = None
        text = "".join(traceback.format_exception(error))
        with self._lock:
            last = self._errors.records[-1] if self._errors.records else None
            if last is not None and last.client is None and last.traceback == text:
                self._errors.records[-1] = replace(last, count=last.count + 1)
            else:
                self._errors.add(ServerError(None, error, text, when or datetime.now(), 1, None))


def _of_the_handler(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the handler's own frame on; whole, if it does not get that far."""
    found = trace
    while found is not None and found.tb_frame.f_globals.get("__name__", "").startswith(__package__):
        found = found.tb_next
    return found or trace


def _line_of(trace: TracebackType | None) -> str | None:
    """The innermost line that is the program's own: what a library does for it is not where to look first."""
    found = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        # By the file, not by its name: a program's own code.py is no library.
        if not file.startswith(_LIBRARIES) and "site-packages" not in file and "dist-packages" not in file:
            found = (file, trace.tb_lineno)
        trace = trace.tb_next
    return None if found is None else _cells.describe(*found, _cells.number(found[0]))


_LIBRARIES = (
    os.path.join(os.path.dirname(os.__file__), ""),
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    "<frozen ",
)


def _let_go(error: BaseException | None) -> None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
