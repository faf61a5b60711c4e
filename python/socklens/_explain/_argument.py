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


def refused(case: Case) -> tuple[Cause, str]:
    """TypeError, ValueError and their kin, of socklens itself."""
    error, step = case.scene.error, _last(case.scene.text)
    if isinstance(error, (TypeError, ValueError, OverflowError)):
        for written, value in case.scene.written:
            # What the source shows is told only where the message is about it.
            if value is not UNKNOWN and (not _is_shown(written, value) or repr(value) in case.scene.text):
                case.saw(f"{escape(cut(written, _LONGEST), keep=_KEPT)} is {_told(written, value)}", "the call")
        return Cause.NOT_TAKEN, step
    if isinstance(error, NotImplementedError):
        return Cause.NOT_HERE, step
    if isinstance(error, (RuntimeError, BufferError)):
        return Cause.NOT_NOW, step
    return Cause.NOT_KNOWN, "Read its message; socklens explains the errors of sockets"


_KEPT = "\\"  # what is quoted is escaped already


def _is_shown(written: str, value: object) -> bool:
    return type(value) in _PLAIN and written.rpartition("=")[2] == repr(value)


def _told(written: str, value: object) -> str:
    """A value's kind, and itself where printing it runs none of the program's code."""
    kind = type(value)
    if isinstance(value, type):
        return f"the class {escape(value.__name__)}"
    parts = value if isinstance(value, tuple) else (value,)
    if all(type(part) in _PLAIN for part in parts):
        if _is_shown(written, value):
            return f"of the type {kind.__name__}"
        return f"{escape(cut(repr(value), _LONGEST), keep=_KEPT)}, of the type {kind.__name__}"
    return f"an object of the class {escape(kind.__name__)}"


def _last(text: str) -> str:
    """The step that the message ends with: what stands behind its last semicolon or full stop, or else behind its last colon."""
    text = re.sub(r"\nwhile processing .*", "", text, flags=re.DOTALL)
    for border in (r"; |\. ", ": "):
        step = re.split(border, text)[-1].strip().rstrip(".")
        if step != text and len(step) > 8:
            return step[:1].upper() + step[1:]
    return text or "Look at the arguments"
