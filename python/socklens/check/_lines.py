"""Which line of a student's code it was: found in the frames of an exception or of a thread, and quoted. Nothing here runs that code,
except for the text of an exception.
"""

from __future__ import annotations

import linecache
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable

_MOST = 1000  # a recursion may have millions

Place = tuple[str, int]
"""A file (or notebook cell) and a line in it."""


def places_of(error: BaseException) -> list[Place]:
    """Where an exception came by last, outermost first."""
    last = deque(traceback.walk_tb(error.__traceback__), _MOST)
    return [(frame.f_code.co_filename, line) for frame, line in last]


def places_now(thread: threading.Thread) -> list[Place]:
    """Where a thread is at this moment, outermost first."""
    frame = sys._current_frames().get(thread.ident or 0)
    return [(frame.f_code.co_filename, line) for frame, line in traceback.walk_stack(frame)][::-1] if frame else []


def line_of(function: Callable[..., object], places: list[Place]) -> str:
    """The innermost line that lies in the file (or notebook cell) where the student's function was written; empty if none does."""
    code = getattr(function, "__code__", None)
    for file, line in reversed(places):
        if code is not None and file == code.co_filename:
            return linecache.getline(file, line).strip()
    return ""


def in_one_line(error: BaseException) -> str:
    """The exception as Python's last line of a traceback tells it."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException as other:  # it is a student's class, which may do anything
        return f"{name}, whose text cannot be told: its __str__ raised {type(other).__name__}"
    return f"{name}: {text}" if text else name
