"""What can be set of a wire, and what is said of a value that cannot be. Pure: nothing here knows a socket."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

CAPACITY = 256 << 10
"""Bytes that wait in the relay at the most, for each direction of each connection (``CAPACITY`` in the core's wire)."""

_LONGEST = 24 * 3600.0
_FURTHEST = 2**62
_MOST_SIZES = 1000

Split: TypeAlias = int | tuple[int, ...] | Literal["random"] | None
Drop: TypeAlias = bool | Literal["reset", "finish"]


@dataclass(frozen=True, slots=True)
class Mischief:
    """What is set for one direction; the defaults change nothing."""

    split: Split = None
    hold: float | None = 1.0
    glue: int | None = None
    delay: float = 0.0
    jitter: float = 0.0
    rate: int | None = None
    stalled: bool = False
    reading: bool = True
    finish_at: int | None = None
    close_at: int | None = None
    reset_at: int | None = None
    flip_at: int | None = None

    def row(self) -> tuple[Any, ...]:
        """As the core takes it."""
        return (
            _sizes(self.split),
            self.hold,
            self.glue or 0,
            self.delay,
            self.jitter,
            self.rate,
            self.stalled,
            self.reading,
            self.finish_at,
            self.close_at,
            self.reset_at,
            self.flip_at,
        )

    def words(self) -> str:
        """What differs from the defaults, as it was written: ``split=1, delay=0.5``; empty if nothing does."""
        names = [name for name in DIRECTION if getattr(self, name) != getattr(NONE, name)]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What becomes of new connections; the defaults change nothing."""

    refuse: bool = False
    drop: Drop = False
    silent: bool = False

    def row(self) -> tuple[bool, str | None, bool]:
        """As the core takes it."""
        return (self.refuse, "reset" if self.drop is True else self.drop or None, self.silent)

    def words(self) -> str:
        """As `Mischief.words`."""
        names = [name for name in ARRIVALS if getattr(self, name)]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def _sizes(split: Split) -> list[int] | None:
    if split is None or isinstance(split, tuple):
        return None if split is None else list(split)
    return [split] if isinstance(split, int) else []  # at random: none of them given


def _shown(value: object) -> str:
    shown = repr(value)
    return f"{type(value).__name__}" if len(shown) > 60 else f"{shown} ({type(value).__name__})"


def _number(name: str, value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {what}, not {_shown(value)}")
    return value


def _size(name: str, value: object, hint: str) -> int:
    what = f"a number of bytes from 1 to {CAPACITY}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {what}, {hint}, not {_shown(value)}")
    if not 1 <= value <= CAPACITY:
        why = "so many bytes the relay holds in a direction" if value > CAPACITY else "an empty piece is none"
        raise ValueError(f"{name} is {what} ({why}), not {value}; {name}=None leaves it out")
    return value


def _split(name: str, value: Any) -> Split:
    hint = 'or a tuple of such sizes that come in turn, "random", or None for no pieces'
    if value is None or value == "random":
        return value  # type: ignore[no-any-return]
    if isinstance(value, str):
        raise ValueError(f"{name}={value!r} is no way to split: a number of bytes, {hint.removeprefix('or ')}")
    if isinstance(value, tuple | list):
        if not 1 <= len(value) <= _MOST_SIZES:
            raise ValueError(f"{name} as a tuple has 1 to {_MOST_SIZES} sizes, which come in turn, not {len(value)}")
        return tuple(_size(f"{name}[{place}]", size, "an int") for place, size in enumerate(value))
    return _size(name, value, hint)


def _glue(name: str, value: Any) -> int | None:
    return None if value is None else _size(name, value, "or None to hold nothing back")


def _seconds(name: str, value: Any) -> float:
    if value is None:
        return 0.0
    seconds = _number(name, value, "a number of seconds, 0 for none")
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{name} is a number of seconds from 0 to {_LONGEST:.0f} (a day), not {seconds}")
    return float(seconds)


def _hold(name: str, value: Any) -> float | None:
    return None if value is None else _seconds(name, value)


def _rate(name: str, value: Any) -> int | None:
    if value is None:
        return None
    rate = _number(name, value, "a number of bytes per second, or None for no limit")
    if not 1 <= rate <= _FURTHEST:
        hint = f"; to let nothing through, set {name.replace('rate', 'stalled')}=True" if rate == 0 else ""
        raise ValueError(f"{name} is 1 byte per second or more, or None for no limit, not {rate}{hint}")
    return int(rate)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {_shown(value)}")
    return value


def _position(name: str, value: Any) -> int | None:
    what = "a position in the stream: how many bytes come before it; None for never"
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {what}; not {_shown(value)}")
    if not 0 <= value <= _FURTHEST:
        raise ValueError(f"{name} is {what}; it cannot be {value}: 0 is before the first byte")
    return value


def _drop(name: str, value: Any) -> Drop:
    if isinstance(value, bool) or value in ("reset", "finish"):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str):
        raise ValueError(f'{name} is True or "reset" (RST), or "finish" (FIN), or False, not {value!r}')
    raise TypeError(f'{name} is True or "reset" (RST), or "finish" (FIN), or False, not {_shown(value)}')


def _refuse(name: str, value: Any) -> bool:
    refuse = _switch(name, value)
    if refuse and not sys.platform.startswith("linux"):
        raise NotImplementedError(
            f"{name}=True: only on Linux can a socket stop listening and keep its port; drop=True resets new connections"
        )
    return refuse


DIRECTION: dict[str, Callable[[str, Any], Any]] = {
    "split": _split,
    "hold": _hold,
    "glue": _glue,
    "delay": _seconds,
    "jitter": _seconds,
    "rate": _rate,
    "stalled": _switch,
    "reading": _switch,
    "finish_at": _position,
    "close_at": _position,
    "reset_at": _position,
    "flip_at": _position,
}
"""What a direction can be set to, and how each value is checked."""

ARRIVALS: dict[str, Callable[[str, Any], Any]] = {"refuse": _refuse, "drop": _drop, "silent": _switch}
"""The same for the wire as a whole."""

NONE = Mischief()


def chosen(given: dict[str, Any]) -> tuple[Mischief, Arrivals]:
    """The keywords of a wire, checked.

    Raises:
        TypeError: there is no such mischief, or its value is of the wrong kind. ValueError: the value is out of range.
    """
    for name in given:
        if name not in DIRECTION and name not in ARRIVALS:
            raise TypeError(f"Wire() has no mischief called {name!r}{meant(name, [*DIRECTION, *ARRIVALS])}")
    mischief = {name: DIRECTION[name](name, value) for name, value in given.items() if name in DIRECTION}
    arrivals = {name: ARRIVALS[name](name, value) for name, value in given.items() if name in ARRIVALS}
    return replace(NONE, **mischief), Arrivals(**arrivals)


def meant(name: str, known: list[str]) -> str:
    """What somebody may have meant who wrote a name that is none, and which there are."""
    close = get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} There are: {', '.join(known)}" if hint else f"; there are: {', '.join(known)}"
