"""Which connections of a story lead through a wire of this program. Its own sockets are not in the story, so what went in and what came out
are two streams that nothing joins: a line says where to look. Only looks.
"""

from __future__ import annotations

import ipaddress
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import NamedTuple

from .._address import Address, same
from ..display.escape import escape
from ._cast import Actor


class Wired(NamedTuple):
    """A wire, as it was when the story ended."""

    local: Address
    target: Address
    name: str | None
    """The variable that held it."""


def wires(frame: FrameType | None) -> tuple[Wired, ...]:
    """The wires that this program has, closed ones too: a wire's `with` block is often inside the story's."""
    made = sys.modules.get("socklens.wire._wire")
    if made is None:
        return ()
    from ..seeing._names import name_of, scopes

    alive = [wire for ref in made.MADE.valuerefs() if (wire := ref()) is not None]
    around = scopes(frame) if alive else []
    return tuple(Wired(wire.local_addr, wire.target, name_of(wire, around, "") or None) for wire in alive)


def between(actors: Iterable[Actor], known: Sequence[Wired]) -> tuple[str, ...]:
    """A line for each wire that a connection of these leads to."""
    through: dict[Wired, list[Actor]] = defaultdict(list)
    for actor in actors:
        # A port that somebody listens on by himself now has its other end in the story, or it is no wire's any more.
        if actor.peer is not None and actor.other_end is None and actor.role != "listener" and not actor.tried:
            for wire in known:
                if _leads_to(actor.peer, wire.local):
                    through[wire].append(actor)
                    break
    return tuple(
        escape(
            f"a wire stands between {of[0].short if len(of) == 1 else f'{len(of):,} sockets'} and {wire.target}: see "
            f"{f'{wire.name}.story' if wire.name is not None else f'the story of the Wire on {wire.local}'}"
        )
        for wire, of in through.items()
    )


def _leads_to(peer: Address, local: Address) -> bool:
    everywhere = ipaddress.ip_address(local.host.partition("%")[0]).is_unspecified
    return peer.port == local.port if everywhere else same(peer, local)
