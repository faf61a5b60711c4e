"""The wires of this program: whether one stands in a connection, and what it did there. Wires that variables hold and those that listen;
their records are read, and nothing is set.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from .. import _listen
from .._address import Address, same
from ..display.escape import escape
from . import _process
from ._case import count

if TYPE_CHECKING:
    from ..wire import Wire
    from ._case import Case
    from ._scene import Scene

_ENDS = ("reset", "closed", "unreachable", "dropped")  # after which there is no connection
_ARRIVES = ("accepted", "dropped", "silent")
_ADDRESS = re.compile(r"(\[[^\]\s]+\]|[\d.]+):(\d{1,5})\b")


class Told(NamedTuple):
    """What a wire remembers of a connection."""

    step: str
    """The next step."""
    did_it: bool
    """Whether the wire itself ended the connection or a direction of it; False if it only passed that on, or did not."""


class _Event(NamedTuple):
    """One row of a wire's story."""

    seconds: float
    connection: int
    direction: str | None
    what: str
    start: int | None
    end: int | None
    text: str


def wires(scene: Scene) -> list[tuple[str, Wire]]:
    """Each wire once, with the variable that holds it; ``""`` where none was found."""
    module = sys.modules.get("socklens.wire")
    if module is None:
        return []
    found: dict[int, tuple[str, Wire]] = {}
    for names in _process.scopes(scene):
        for name, thing in names:
            if isinstance(thing, module.Wire):
                found.setdefault(id(thing), (name, thing))
    for listener in _listen.live():
        owner = _listen.owner_of(listener)
        if isinstance(owner, module.Wire):
            found.setdefault(id(owner), ("", owner))
    return list(found.values())


def told(case: Case) -> Told | None:
    """Adds which wire stands in the connection that the error is about, and what it did to it; None if none does."""
    ends = case.scene.ends
    if ends is None or ends[1] is None:
        return None
    local, peer = ends[0], ends[1]
    for name, wire in wires(case.scene):
        of_client = wire.local_addr.port == peer.port
        if not of_client and wire.target.port != local.port:
            continue
        if case.budget.spent("what a wire of this program did"):
            return None
        events = [_Event(*row) for row in wire._core.events()[0]]
        number = _number(events, _ARRIVES, local) if of_client else _number(events, ("connected",), peer)
        if number or (of_client and not wire.closed):
            return _told(case, name, wire, events, number, of_client)
    return None


def refusing(scene: Scene, endpoint: Address) -> str | None:
    """The variable of the wire that has this endpoint and refuses who connects."""
    return next(
        (name for name, wire in wires(scene) if wire.local_addr == endpoint and not wire.closed and wire.refuse), None
    )


def _told(case: Case, name: str, wire: Wire, events: list[_Event], number: int, of_client: bool) -> Told:
    own = [event for event in events if event.connection == number != 0]
    place = f"stands between this connection and the target {wire.target}"
    if not of_client:
        client = next((_address(event) for event in own if event.what in _ARRIVES), None)
        place = f"is the peer of this connection{f', for the client {client}' if client else ''}"
    called = f"`{escape(name)}`" if name else "the wire"
    what = f"`{escape(name)}` is a wire" if name else "a wire without a name"
    case.saw(
        f"{what} (a relay) of this program, made in {escape(wire.created_at)}{', and' if name else ','} {place}",
        "the objects of this program",
    )
    event = _telling(events, own)
    deed = next((event for event in own if event.what == "finished" and "from the wire" in event.text), event)
    for one in dict.fromkeys((deed, event)):
        if one is not None:
            way = f"{one.direction}: " if one.direction else ""
            case.saw(f"{called} tells of this connection: {way}{escape(one.text)}", "Wire.story")
    for direction, way in ((wire.to_server, "to_server"), (wire.to_client, "to_client")):
        if direction.words:
            case.saw(f"{called} is set to {escape(direction.words)} in the direction {way}", f"Wire.{way}")
    for row in wire._core.connections():
        if row[0] == number:
            (forth, back), waits = row[4], sum(row[5])
            case.saw(
                f"{called} has passed on {count(forth)} to the target and {back:,} to the client, and holds {waits:,}",
                "Wire.connections",
            )
    story = f"print({name}.story)" if name else "its story"
    look = f"Look at {story}: it shows" if name else "Keep the wire in a variable, and look at its story: it shows"
    if event is not None and event.what == "unreachable":
        first = (
            f"Let a server listen on {wire.target}" if "Connection refused" in event.text else f"Look at {wire.target}"
        )
        return Told(f"{first}, where {called} leads to; {story} shows what it got there", True)
    if event is not None and "passed on" in event.text and deed is event:
        where = f"the target {wire.target}" if event.direction == "to_client" else "the client"
        passed = "RST" if event.what == "reset" else "FIN"
        return Told(f"Look at {where}: {called} has only passed its {passed} on; {story} shows when", False)
    did_it = deed is not None and deed.what in (*_ENDS, "finished", "silent")
    return Told(f"{look} what {called} did to this connection", did_it)


def _number(events: list[_Event], kinds: tuple[str, ...], address: Address) -> int:
    """The newest connection in which this address came; 0 if none is known. A port may be used again."""
    for event in reversed(events):
        if event.what in kinds and same(_address(event), address):
            return event.connection
    return 0


def _address(event: _Event) -> Address | None:
    found = _ADDRESS.search(event.text)
    return Address(found[1].strip("[]"), int(found[2])) if found else None


def _telling(events: list[_Event], own: list[_Event]) -> _Event | None:
    """The event that says most of how the connection is now: its end, or else its last."""
    for event in own:
        if event.what in _ENDS:
            return event
    whole = [event for event in events if event.connection == 0 and event.what in ("closed", "refuses")]
    if whole and (whole[-1].what == "closed" or not own):
        return whole[-1]
    marked = [event for event in own if event.what in ("finished", "silent")]
    known = marked or own
    return known[-1] if known else None
