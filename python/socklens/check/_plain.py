"""Values of Python's plain types, and whether what a student's function returned is the same as what it should have. No method of the
student's is called for it: a class may say of its objects that they are equal to anything, or raise when it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

_ATOMS = (type(None), bool, int, float, complex, str, bytes, bytearray)
_ROWS = (list, tuple)
_SETS = (set, frozenset)
_LONGEST = 400  # characters of a value that are shown


@dataclass(frozen=True)
class Returned:
    """What a function returned, compared with what it should have: `shown` is it in words, `fault` why its type alone is wrong."""

    equal: bool
    shown: str
    fault: str = ""


class NotPlain(Exception):
    """Something in a value is of a type that is not plain: `kind` is its name."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def plain(value: Any) -> object:
    """The value as one that is equal to another's exactly if both are of the same types, and their contents are equal.

    Raises:
        NotPlain: it is not made of None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set and frozenset alone.
    """
    kind = type(value)
    try:
        if _is_one_of(kind, _ATOMS):
            return kind, bytes(value) if kind is bytearray else value
        if _is_one_of(kind, _ROWS):
            return kind, tuple(map(plain, value))
        if _is_one_of(kind, _SETS):
            return kind, frozenset(map(plain, value))
        if kind is dict:
            return kind, frozenset((plain(key), plain(one)) for key, one in value.items())
    except RecursionError:
        raise NotPlain(f"{name_of(kind)} that is in itself") from None
    raise NotPlain(name_of(kind))


def _is_one_of(kind: type, kinds: tuple[type, ...]) -> bool:
    """Not by `in`, which asks a type's metaclass whether it is equal."""
    return any(kind is one for one in kinds)


def name_of(kind: type) -> str:
    """Its name, without asking its metaclass."""
    return cast("str", type.__dict__["__name__"].__get__(kind))[:80]


def compared(value: object, wanted: object) -> Returned:
    """What the function returned, and whether it is what it should be, which is plain."""
    kind, right = type(value), type(wanted)
    try:
        mine = plain(value)
    except NotPlain as other:
        name = name_of(kind)
        if other.kind != name:
            said = f"a {name} with an object of type {other.kind} in it"
            return Returned(False, said, said)
        said = f"an object of type {name}"
        return Returned(False, said, f"{said}, not {right.__name__}")
    if kind is not right and value is not None:
        return Returned(False, shown(value), f"an object of type {kind.__name__}, not {right.__name__}")
    return Returned(mine == plain(wanted), shown(value))


def shown(value: object) -> str:
    """A plain value as Python writes it, cut where it is long."""
    try:
        return repr(value)[:_LONGEST]
    except ValueError as error:  # an int of more digits than Python writes
        return f"a {type(value).__name__}: {error}"[:_LONGEST]
