"""Who took part: the sockets of a story and which of them are two ends of one connection. Derived from the events, and nothing else."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from .._address import Address
from ._events import Event

Role = Literal["listener", "client", "accepted", "connection"]

_OF_LISTENERS = frozenset({"listen", "accept", "server accept"})
ENDS = frozenset({"close", "abort", "detach"})


@dataclass(frozen=True, slots=True)
class Actor:
    """One socket of the story."""

    socket: int
    role: Role
    """`client` connected, `accepted` came from a listener; `connection` was there already, so that this is not known."""
    local: Address | None
    peer: Address | None
    other_end: int | None
    """The socket of the connection's other end, if that is in the story too."""
    listener: int | None
    """The listener that it was accepted from."""
    stdlib: bool
    tried: bool
    """Whether it is an attempt to connect that failed: there was never a connection."""

    @property
    def label(self) -> str:
        """What it is called in drawings: its role and its own endpoint; for a failed attempt the one it was meant for."""
        if self.tried:
            return f"attempt to {self.peer}"
        return f"{self.role} {'unknown' if self.local is None else self.local}"


@lru_cache(maxsize=4096)
def _plain(address: Address) -> tuple[str, int]:
    """The endpoint as both ends write it: an IPv6 listener that serves IPv4 too sees ::ffff:a.b.c.d."""
    host, port = address
    ip = ipaddress.ip_address(host)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (host if mapped is None else str(mapped), port)


def cast(events: Sequence[Event]) -> dict[int, Actor]:
    """The sockets in the order of their first call: clients and listeners before what was accepted."""
    first: dict[int, Event] = {}
    listens: set[int] = set()
    connects: dict[int, Event] = {}
    accepted_by: dict[int, int] = {}
    for event in events:
        known = first.get(event.socket)
        if known is None or (known.local is None and event.local is not None):
            first[event.socket] = event
        if event.call in _OF_LISTENERS:
            listens.add(event.socket)
        if event.call in ("connect", "connect_ex"):
            connects[event.socket] = event
        if event.made is not None:
            accepted_by[event.made] = event.socket
    ends = _pairs(first.values())
    actors = {}
    for socket, event in first.items():
        role: Role = "connection"
        if socket in listens:
            role = "listener"
        elif socket in accepted_by:
            role = "accepted"
        elif socket in connects:
            role = "client"
        actors[socket] = Actor(
            socket,
            role,
            event.local,
            event.peer,
            ends.get(socket),
            accepted_by.get(socket),
            event.stdlib,
            tried=socket in connects and connects[socket].error is not None and event.local is None,
        )
    return actors


def _pairs(firsts: Iterable[Event]) -> dict[int, int]:
    """The two ends of each connection. A four-tuple is free again only when both sockets of its last connection are gone, so
    successors come in
    the same order at both ends.
    """
    by_tuple: dict[tuple[tuple[str, int], tuple[str, int]], list[int]] = defaultdict(list)
    for event in firsts:
        if event.local is not None and event.peer is not None:
            by_tuple[_plain(event.local), _plain(event.peer)].append(event.socket)
    return {
        one: other
        for (local, peer), sockets in by_tuple.items()
        for one, other in zip(sorted(sockets), sorted(by_tuple.get((peer, local), [])), strict=False)
    }
