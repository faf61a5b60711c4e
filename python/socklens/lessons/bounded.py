"""Runs a student's function for a check. However it behaves (hangs, raises anything, exits, prints), the caller has control
back before the deadline; sockets that it waits on are released by the caller's ``release``.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..check._lines import in_one_line, line_of, places_now, places_of
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
            ended.append(Run(error=error, where=line_of(function, places_of(error))))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(body,), name="socklens-check", daemon=True)
    thread.start()
    try:
        thread.join(seconds)
        if not thread.is_alive():
            return ended[0]
        return Run(hung=True, where=line_of(function, places_now(thread)))
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
        raise Wrong(f"Your function raised {in_one_line(error)}{_at(result)}.")
    if result.value is ...:
        raise NotAttempted
    return result.value


def waiting_place(result: Run) -> str:
    """Where a hung call waits, as the end of a sentence; empty if it is not known."""
    return _at(result)


def _at(result: Run) -> str:
    return f", at `{result.where}`" if result.where else ""
