"""Runs a student's function for a check. However it behaves (hangs, raises anything, exits, prints), the caller has control
back before the deadline; sockets that it waits on are released by the caller's ``release``.
"""

from __future__ import annotations

import contextvars
import linecache
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from .exercise import NotAttempted, Wrong


@dataclass(frozen=True)
class Run:
    """How a call ended: with a ``value``, with an ``error``, or not at all (``hung``). ``where`` quotes the line of the
    student's code that raised or that it hangs in, or is empty."""

    value: object = None
    error: BaseException | None = None
    hung: bool = False
    where: str = ""


def run(function: Callable[..., object], *arguments: object, seconds: float, release: Callable[[], object]) -> Run:
    """Call ``function`` in a thread of its own and wait for it.

    The thread keeps the caller's context, so that what it prints lands in the same notebook cell.

    Args:
        seconds: the longest wait. After it ``release`` is called, which must end every wait of the function, for example
            by closing the connection it was given.
    """
    ended: list[Run] = []

    def body() -> None:
        try:
            ended.append(Run(value=function(*arguments)))
        except BaseException as error:  # SystemExit too: a check reports it, it does not end the kernel
            ended.append(Run(error=error, where=_line_of(function, _places_of(error))))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(body,), name="socklens-check", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
        if not thread.is_alive():
            return ended[0]
        return Run(hung=True, where=_line_of(function, _places_now(thread)))
    finally:  # an interrupted kernel leaves through here as well
        if thread.is_alive():
            release()
            thread.join(1.0)


def value_of(result: Run) -> object:
    """The value of a call that ended well.

    Raises:
        NotAttempted: it returned the placeholder ``...``.
        Wrong: it raised; the message has the error in one line and the student's line.
    """
    if result.error is not None:
        error = result.error
        if isinstance(error, NotImplementedError):
            raise NotAttempted
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise Wrong(f"Your function raised {text}{_at(result)}.")
    if result.value is ...:
        raise NotAttempted
    return result.value


def waiting_place(result: Run) -> str:
    """Where a hung call waits, as the end of a sentence; empty if it is not known."""
    return _at(result)


def _at(result: Run) -> str:
    return f", at `{result.where}`" if result.where else ""


_Place = tuple[str, int]  # file (or notebook cell) and line


def _places_of(error: BaseException) -> list[_Place]:
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]


def _places_now(thread: threading.Thread) -> list[_Place]:
    frame = sys._current_frames().get(thread.ident or 0)
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_stack(frame)][::-1] if frame else []


def _line_of(function: Callable[..., object], places: list[_Place]) -> str:
    """The innermost line that lies in the file (or notebook cell) where the student's function was written."""
    code = getattr(function, "__code__", None)
    for file, line in reversed(places):
        if code is not None and file == code.co_filename:
            return linecache.getline(file, line).strip()
    return ""
