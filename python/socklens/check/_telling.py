"""What a forked child tells its check, as lines on a pipe, and what of it is believed: lines that begin with this check's own token and
have the shape that they should have. A program may write to descriptors that are not its own; what it writes here says nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ._ending import Ending
from ._plain import Returned

_LONGEST_LINE = 1 << 20  # bytes that are kept of what has not ended with a newline
_MOST_AT_ONCE = 1 << 20  # or who writes without end would hold up the check without end
_SHAPES: dict[type, dict[str, tuple[type, ...]]] = {
    Ending: {"status": (int, type(None)), "error": (str,), "line": (str,), "exit_called": (bool,), "fault": (str,)},
    Returned: {"equal": (bool,), "shown": (str,), "fault": (str,)},
}

Tell = Callable[[str, int | Ending | Returned], None]
"""Tells the check the port that it ``"listens"`` on, how it has ``"ended"``, what it has ``"returned"``, a client's ``"trouble"``."""


class Telling:
    """Both sides of the pipe: the child has a copy of it.

    Attributes:
        listens: the port of a handler's server, when it is served.
        ended: how the function has ended.
        returned: what it returned.
        troubles: what serving single clients raised.
    """

    def __init__(self) -> None:
        self._token = secrets.token_hex(16).encode()
        self._rest = b""
        self.listens: int | None = None
        self.ended: Ending | None = None
        self.returned: Returned | None = None
        self.troubles: list[Ending] = []

    # The child's side

    def to(self, pipe: int) -> Tell:
        """What the child tells with."""
        lock, ours = threading.Lock(), _file(pipe)

        def tell(word: str, what: int | Ending | Returned) -> None:
            said = what if isinstance(what, int) else asdict(what)
            # A newline before it, too: the program may have written half a line.
            line = b"\n" + self._token + json.dumps([word, said]).encode() + b"\n"
            with (
                lock,
                contextlib.suppress(OSError),
            ):  # the program has closed what was not its own: nobody can be told then
                # And its number may be that of the program's own socket by now.
                while line and _file(pipe) == ours:
                    line = line[os.write(pipe, line) :]

        return tell

    # The check's side

    def take(self, pipe: int) -> None:
        """Takes what has come, without waiting."""
        room = _MOST_AT_ONCE
        with contextlib.suppress(BlockingIOError):
            while room > 0 and (data := os.read(pipe, min(room, 1 << 16))):
                room -= len(data)
                self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        self._rest = self._rest[-_LONGEST_LINE:]
        for line in lines:
            if line.startswith(self._token):
                with contextlib.suppress(ValueError, RecursionError):
                    self._believe(json.loads(line[len(self._token) :]))

    def _believe(self, said: Any) -> None:
        """The first of each kind; all troubles."""
        if type(said) is not list or len(said) != 2:
            return
        word, what = said
        if word == "listens" and type(what) is int and 0 < what < 1 << 16:
            self.listens = self.listens or what
        elif word == "ended" and _fits(what, Ending):
            self.ended = self.ended or Ending(**what)
        elif word == "returned" and _fits(what, Returned):
            self.returned = self.returned or Returned(**what)
        elif word == "trouble" and _fits(what, Ending):
            self.troubles.append(Ending(**what))


def _file(number: int) -> tuple[int, int]:
    """What a descriptor stands for, as no other does (inode(7))."""
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def _fits(what: Any, kind: type) -> bool:
    shape = _SHAPES[kind]
    return (
        isinstance(what, dict) and what.keys() == shape.keys() and all(type(what[key]) in shape[key] for key in shape)
    )
