"""Which call failed, read from the traceback: Python knows the line and the columns, and the line says the rest.

Names are looked up, nothing is called: explaining an error runs no code of the program that has it.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from itertools import islice
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import Connection, Listener

if TYPE_CHECKING:
    from types import FrameType, TracebackType

MOST_FRAMES = 40
"""How many of the innermost frames are looked at."""


class Unknown:
    """The value of what cannot be found out without running code."""


UNKNOWN = Unknown()


class Call(NamedTuple):
    """A call, as the source has it."""

    name: str
    """What is called, without what is in front of the dot."""
    receiver: object
    """What is in front of the dot; UNKNOWN without one."""
    args: tuple[object, ...]
    """The arguments by position, each its value or UNKNOWN."""
    named: dict[str, object]
    """The arguments by name, likewise."""
    function: object
    """What is called, where that is no method; UNKNOWN where names do not tell."""
    written: tuple[tuple[str, object], ...]
    """All arguments in order, each as the source has it."""
    code: str
    """What is called, as the source has it."""


def frames(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    """The frames and the place in each, the innermost first."""
    found = []
    while trace is not None:
        found.append((trace.tb_frame, trace.tb_lasti))
        trace = trace.tb_next
    return found[: -MOST_FRAMES - 1 : -1]


def at(frame: FrameType, instruction: int) -> Call | None:
    """The call that is being made there; None where the source does not tell."""
    text = _source(frame, instruction)
    if not text:
        return None
    try:
        node = ast.parse(f"({text})", mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        return None
    args = tuple(_value(arg, frame) for arg in node.args)
    named = {word.arg: _value(word.value, frame) for word in node.keywords if word.arg is not None}
    written = (
        *((ast.unparse(arg), value) for arg, value in zip(node.args, args, strict=True)),
        *((f"{word.arg}={ast.unparse(word.value)}", named[word.arg]) for word in node.keywords if word.arg is not None),
    )
    code = ast.unparse(node.func)
    if isinstance(node.func, ast.Attribute):
        receiver = _value(node.func.value, frame)
        function = vars(receiver).get(node.func.attr, UNKNOWN) if isinstance(receiver, ModuleType) else UNKNOWN
        return Call(node.func.attr, receiver, args, named, function, written, code)
    if not isinstance(node.func, ast.Name):
        return None
    method = _value(node.func, frame)
    if isinstance(method, (BuiltinMethodType, MethodType)) and not isinstance(method.__self__, ModuleType):
        # A method by another name, as in `read = conn.recv`.
        return Call(method.__name__, method.__self__, args, named, UNKNOWN, written, code)
    return Call(node.func.id, UNKNOWN, args, named, method, written, code)


def is_ours(call: Call) -> bool:
    """Whether it calls a function of socklens, or a method of one of its objects."""
    what = type(call.receiver) if call.function is UNKNOWN else call.function
    if what is Unknown or not isinstance(what, (type, FunctionType, BuiltinFunctionType)):
        return False
    return isinstance(what.__module__, str) and what.__module__.partition(".")[0] == "socklens"


def public_name(call: Call) -> str:
    """What help() takes for the function or method of socklens that is called; empty where no name of it is known."""
    if call.function is UNKNOWN and type(call.receiver).__module__ == "socklens":
        return f"sl.{type(call.receiver).__name__}.{call.name}"
    name = getattr(call.function, "__name__", "")
    if isinstance(name, str) and vars(sys.modules["socklens"]).get(name) is call.function:
        return f"sl.{name}"
    return call.code if re.fullmatch(r"[\w.]+", call.code) else ""


def _source(frame: FrameType, instruction: int) -> str:
    """The piece of source that the instruction was made from."""
    code = frame.f_code
    first, last, start, end = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    if first is None or last is None or start is None or end is None or last - first > 20:
        return ""
    lines = [line.encode() for line in linecache.getlines(code.co_filename, frame.f_globals)[first - 1 : last]]
    if len(lines) != last - first + 1:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return b"".join(lines).decode(errors="replace")


def _value(node: ast.expr, frame: FrameType) -> object:
    """What an expression stands for, as far as names and plain containers tell."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            for names in (frame.f_locals, frame.f_globals):
                if node.id in names:
                    return names[node.id]
        case ast.Attribute():
            return _attribute(_value(node.value, frame), node.attr)
        case ast.Tuple():
            return tuple(_value(part, frame) for part in node.elts)
        case ast.Starred():
            return _value(node.value, frame)
        case ast.Subscript():
            return _element(_value(node.value, frame), _value(node.slice, frame))
    return UNKNOWN


def _attribute(thing: object, name: str) -> object:
    if type(thing) in (Connection, Listener):
        # These answer from memory; `aio` stands for the same object.
        return thing if name == "aio" else getattr(thing, name, UNKNOWN) if name.endswith("_addr") else UNKNOWN
    try:
        return object.__getattribute__(thing, "__dict__").get(name, UNKNOWN)
    except (AttributeError, TypeError):
        return UNKNOWN


def _element(thing: Any, key: object) -> object:
    if type(thing) in (list, tuple, dict) and type(key) in (int, str):
        try:
            return thing[key]
        except (LookupError, TypeError):
            return UNKNOWN
    return UNKNOWN
