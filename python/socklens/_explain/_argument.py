"""Why socklens refused a call before it asked the kernel: an argument that does not fit, or an object that is not as far. The message has
said it; here is what was given. Looks at the arguments alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..display.escape import cut, escape
from ._call import UNKNOWN
from ._diagnosis import Cause

if TYPE_CHECKING:
    from ._case import Case

_PLAIN = (str, bytes, bytearray, int, float, bool, type(None))
_LONGEST = 60  # characters of one value
_VERBS = frozenset(
    "add allow ask await call choose close connect give keep leave let listen make name pass put read say set start stop take try use wait "
    "write".split()
)


def refused(case: Case) -> tuple[Cause, str]:
    """TypeError, ValueError and their kin, of socklens itself."""
    error, text = case.scene.error, re.sub(r"\nwhile processing .*", "", case.scene.text, flags=re.DOTALL)
    step = _step(text)
    if isinstance(error, (TypeError, ValueError, OverflowError)):
        step = step or _fitting(text)
        for written, value in case.scene.written:
            # Of what the source shows the type alone is news, and that only where the message is about it.
            if value is not UNKNOWN and (not _is_shown(written, value) or _is_meant(error, value, text)):
                case.saw(f"{escape(cut(written, _LONGEST), keep=_KEPT)} is {_told(written, value)}", "the call")
        return Cause.NOT_TAKEN, step
    tail = _tail(text)
    step = step or tail[:1].upper() + tail[1:] or "Look at the line that failed"
    if isinstance(error, NotImplementedError):
        return Cause.NOT_HERE, step
    if isinstance(error, (RuntimeError, BufferError)):
        return Cause.NOT_NOW, step
    return Cause.NOT_KNOWN, "Read its message; socklens explains the errors of sockets"


_KEPT = "\\"  # what is quoted is escaped already


def _is_shown(written: str, value: object) -> bool:
    return _is_plain(value) and written.rpartition("=")[2] == repr(value)


def _is_plain(value: object) -> bool:
    return all(type(part) in _PLAIN for part in (value if isinstance(value, tuple) else (value,)))


def _told(written: str, value: object) -> str:
    """A value's kind, and itself where printing it runs none of the program's code."""
    kind = type(value)
    if isinstance(value, type):
        return f"the class {escape(value.__name__)}"
    if _is_plain(value):
        if _is_shown(written, value):
            return f"of the type {kind.__name__}"
        return f"{escape(cut(repr(value), _LONGEST), keep=_KEPT)}, of the type {kind.__name__}"
    return f"an object of the class {escape(kind.__name__)}"


def _is_meant(error: BaseException, value: object, text: str) -> bool:
    return isinstance(error, TypeError) and bool(re.search(rf"(?<![\w.:]){re.escape(repr(value))}(?![\w.:])", text))


def _tail(text: str) -> str:
    """What a message ends with: behind its last semicolon or full stop, or else behind its last colon."""
    for border in (r"; |\. ", ": "):
        tail = re.split(border, text)[-1].strip().rstrip(".")
        if tail != text and len(tail) > 8:
            return tail
    return text


def _step(text: str) -> str:
    """The step that the message ends with; empty if it ends otherwise."""
    tail = _tail(text)
    if re.match(r"[a-z_.]+\(", tail):
        return f"Write {tail}"  # code begins as it is written
    return tail[:1].upper() + tail[1:] if tail.partition(" ")[0].lower() in _VERBS else ""


def _fitting(text: str) -> str:
    """The step for a message that says what would have been right: "a timeout is a number of seconds, not '1'"."""
    if found := re.search(r"\b(?:is|takes|wants) (an? [^;:]+?), not ", text):
        return f"Give {found[1]}"
    return f"Give another value: {_tail(text)}" if text else "Look at the arguments"
