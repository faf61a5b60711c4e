"""Why socklens refused a call before it asked the kernel: an argument that does not fit, or an object that is not as far. The message has
said it; here is what was given. Looks at the arguments alone.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from ..display.escape import cut, escape
from ._call import UNKNOWN
from ._diagnosis import Cause

if TYPE_CHECKING:
    from ._case import Case

_PLAIN = (str, bytes, bytearray, int, float, bool, type(None))
_LONGEST = 60  # characters of one value
_VERBS = (
    "add|allow|ask|await|call|check|choose|close|connect|find|give|keep|leave|let|listen|look|make|name|open|pass|put|read|run|say|set|sort|"
    "start|stop|take|try|use|wait|write"
)
_INSTRUCTION = re.compile(rf"(?:(?:to|for|if|in) [^,;:]+, )?(?:{_VERBS})\b", re.IGNORECASE)
_BY_CODE = re.compile(
    r"[a-z_.]+\([^()]*\) (?!takes |got |missing |has |is |needs )[a-z]"
)  # "sl.look() looks at …", "start() it first"
# "a port is a 16-bit number", "it is written host:port"
_RULE = re.compile(r'an? [\w -]+? (?:is|has) |it is (?:written|one of) |"?[\d.]+"? is |the host comes first')
_RIGHT = re.compile(r"\b(?:is meant by|is(?! called| made)|takes|wants|draws|sends|has) ((?:[^;:]|:(?! ))+?), not ")
_NO_STEP = "Look at the line that failed"


def refused(case: Case) -> tuple[Cause, str]:
    """TypeError, ValueError and their kin, of socklens itself."""
    error, text = case.scene.error, re.sub(r"\nwhile processing .*", "", case.scene.text, flags=re.DOTALL)
    step = _step(text)
    if isinstance(error, (TypeError, ValueError, OverflowError)):
        step = step or _fitting(text, case.scene.called)
        for written, value in case.scene.written:
            # Of what the source shows the type alone is news, and that only where the message is about it.
            if value is not UNKNOWN and (not _is_shown(written, value) or _is_meant(error, value, text)):
                case.saw(f"{escape(cut(written, _LONGEST), keep=_KEPT)} is {_told(written, value)}", "the call")
        return Cause.NOT_TAKEN, step
    step = step or (f"help({case.scene.called}) says what it needs" if case.scene.called else _NO_STEP)
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


def _pieces(text: str) -> list[str]:
    """What a message may end with as an instruction: its last sentence, what is behind the last semicolon, behind the colons of these."""
    whole = text.strip().rstrip(".")
    tails = [re.split(border, whole)[-1] for border in (r"[.?] ", "; ")]
    behind = [tail[found.end() :] for tail in (*tails, whole) for found in re.finditer(": ", tail)]
    return [piece for piece in dict.fromkeys([*tails, *behind]) if piece != whole]


def _step(text: str) -> str:
    """The step that the message ends with; empty if it ends with none: a statement is no step."""
    for piece in _pieces(text):
        if _is_call(piece):
            return f"Write {piece}"
        if _BY_CODE.match(piece):
            return piece  # code begins as it is written
        if _INSTRUCTION.match(piece):
            return piece[:1].upper() + piece[1:]
    return ""


def _is_call(text: str) -> bool:
    """Whether all of it is code for a call."""
    try:
        return isinstance(ast.parse(text, mode="eval").body, ast.Call)
    except (SyntaxError, ValueError):
        return False


def _fitting(text: str, called: str) -> str:
    """The step for a message that says what would have been right: "a timeout is a number of seconds, not '1'"."""
    if found := _RIGHT.search(text):
        return f"Give {found[1]}"
    for piece in _pieces(text):
        if _RULE.match(piece):
            return f"Give another value: {piece}"
    return f"help({called}) says what it takes" if called else "Look at the arguments"
