"""Signals that come at a chosen moment of a call. Unix only; only the main thread may use them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import signal
from collections.abc import Iterator
from typing import cast


class CameInBetweenError(Exception):
    """What the handlers in here raise."""


@contextlib.contextmanager
def raising_handler(number: signal.Signals) -> Iterator[None]:
    """As long as the block runs, this signal raises `CameInBetweenError`."""

    def handler(*_: object) -> None:
        raise CameInBetweenError

    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def pending_signal() -> Iterator[float]:
    """A timeout of 5 s that has a signal come when a call reads it.

    Its handler, which raises, can run only when the call itself asks for signals while it works, or when it is over.
    """
    raise_ = ctypes.CDLL(None)["raise"]
    # A function in C takes the result 0 and gives 5: in between, no line of Python runs.
    raise_.restype = (5).__add__

    class Seconds:
        __index__ = functools.partial(raise_, signal.SIGUSR1)

    with raising_handler(signal.SIGUSR1):
        yield cast(float, Seconds())
