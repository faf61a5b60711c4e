"""Who took part: the sockets of a story and which of them are two ends of one connection. Derived from the events, and nothing else."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from .._address import Address
from .._socklens import TcpState
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
    name: str | None = None
    """The variable that held it when the story ended."""

    @property
    def title(self) -> str:
        """What it is called above its endpoint: its role, and its variable's name. All that one listener accepts have the same endpoint, so
        one without a name is told by its client's port.
        """
        if self.tried:
            return "attempt to"
        if self.name is not None:
            return f"{self.role} {self.name}"
        return f"{self.role} from {self.peer.port}" if self.role == "accepted" and self.peer is not None else self.role

    @property
    def endpoint(self) -> str:
        """Its own endpoint; for a failed attempt the one it was meant for."""
        address = self.peer if self.tried else self.local
        return "unknown" if address is None else str(address)

    @property
    def short(self) -> str:
        """What tells it from the story's others: without its endpoint where its variable or its client's port does."""
        return self.title if " " in self.title and not self.tried else self.label

    @property
    def label(self) -> str:
        """What it is called in one line."""
        return f"{self.title}{', ' if ' ' in self.title and not self.tried else ' '}{self.endpoint}"


class _Ends(NamedTuple):
    local: Address | None
    peer: Address | None


@lru_cache(maxsize=4096)
def _plain(address: Address) -> tuple[str, int]:
    """The endpoint as both ends write it: an IPv6 listener that serves IPv4 too sees ::ffff:a.b.c.d."""
    host, port = address
    ip = ipaddress.ip_address(host.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (host if mapped is None else str(mapped), port)


def cast(events: Sequence[Event], names: Mapping[int, str] = MappingProxyType({})) -> dict[int, Actor]:
    """The sockets in the order of their first call: clients and listeners before what was accepted."""
    ends: dict[int, _Ends] = {}
    stdlib: dict[int, bool] = {}
    listens: set[int] = set()
    failed: dict[int, bool] = {}
    accepts: dict[int, Event] = {}
    for event in events:
        own = _Ends(event.local, None if event.call in _OF_LISTENERS else event.peer)
        if event.socket not in ends or (ends[event.socket].local is None and own.local is not None):
            ends[event.socket] = own
            stdlib[event.socket] = event.stdlib
        # A listener that was there before may show in nothing but its close.
        if event.call in _OF_LISTENERS or TcpState.LISTEN in (event.before, event.after):
            listens.add(event.socket)
        if event.call in ("connect", "connect_ex"):
            failed[event.socket] = event.error is not None and event.local is None
        if event.made is not None:
            accepts[event.made] = event
    for socket, event in accepts.items():
        # One that was accepted and has not been used yet.
        ends.setdefault(socket, _Ends(_arrived_at(event, ends.values()), event.peer))
        stdlib.setdefault(socket, event.stdlib)
    other_ends = _pairs(ends)
    actors = {}
    for socket, own in ends.items():
        role: Role = "connection"
        if socket in listens:
            role = "listener"
        elif socket in accepts:
            role = "accepted"
        elif socket in failed:
            role = "client"
        accept = accepts.get(socket)
        actors[socket] = Actor(
            socket,
            role,
            own.local,
            own.peer,
            other_ends.get(socket),
            None if accept is None else accept.socket,
            stdlib[socket],
            tried=failed.get(socket, False),
            name=names.get(socket),
        )
    return actors


def _arrived_at(accept: Event, others: Iterable[_Ends]) -> Address | None:
    """The own endpoint of an accepted socket: its listener's, unless that listens everywhere; then the one that the client went to."""
    if accept.local is not None and not ipaddress.ip_address(accept.local.host.partition("%")[0]).is_unspecified:
        return accept.local
    return next((ends.peer for ends in others if ends.local is not None and ends.local == accept.peer), None)


def _pairs(ends: Mapping[int, _Ends]) -> dict[int, int]:
    """The two ends of each connection. A four-tuple is free again only when both sockets of its last connection are gone, so
    successors come in the same order at both ends.
    """
    by_tuple: dict[tuple[tuple[str, int], tuple[str, int]], list[int]] = defaultdict(list)
    for socket, (local, peer) in ends.items():
        if local is not None and peer is not None:
            by_tuple[_plain(local), _plain(peer)].append(socket)
    return {
        one: other
        for (here, there), sockets in by_tuple.items()
        for one, other in zip(sorted(sockets), sorted(by_tuple.get((there, here), [])), strict=False)
    }
