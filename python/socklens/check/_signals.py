"""Signals that wait while a program is started: what a handler raises must not come between a new process and the check's knowing of it.

A thread's mask is not enough for that: the kernel gives the signal to another thread, and Python runs its handler in the main one.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class HeldBack:
    """A ``with`` block in which Python runs no handler of a signal. Those that came are run at its end, each once, and may raise there."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._replaced: list[int] = []
        self._came: set[int] = set()
        self._over = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # handlers run in no other
            try:
                for number in signal.valid_signals():
                    handler = signal.getsignal(number)
                    if callable(handler):
                        self._handlers[number] = handler
                        self._replaced.append(number)
                        signal.signal(number, self._note)
            except BaseException:  # of a handler that has not been replaced yet
                self.give_back()
                raise
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            self._handlers[number](number, frame)
        else:
            self._came.add(number)

    def give_back(self) -> None:
        """Puts the handlers back, and runs none: in a forked child, where they are the parent's."""
        self._over = True
        while self._replaced:
            signal.signal(self._replaced[-1], self._handlers[self._replaced[-1]])
            self._replaced.pop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as each:  # all of them, whatever one of them raises
            self._over = True
            each.callback(self.give_back)  # the rest, if a signal that comes now raises in the middle of it
            for number in sorted(self._came, reverse=True):
                # Not by raise_signal: an event loop, which a wakeup descriptor told of the signal, would be told again.
                each.callback(self._handlers[number], number, sys._getframe())
            self.give_back()
