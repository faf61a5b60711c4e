"""This machine's own addresses: each interface's, who can reach it there, and what the two addresses that mean "all" add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from .._socklens import _interfaces

_MEANING = {
    "loopback": "only programs on this machine can connect",
    "link-local": "machines on the same link can connect; nothing passes a router",
    "private": "machines of the same network can connect, nobody from the internet",
    "global": "anybody can connect, as far as firewalls let them",
}


@dataclass(frozen=True)
class MachineAddress:
    """One address that a program on this machine can listen on. Observed: interface, host, prefix, up; derived: kind, meaning."""

    # As a dictionary, so that Shift-Tab explains them.
    __slots__ = {
        "host": "The address as text; a link-local one of IPv6 with its zone.",
        "interface": "The name of the network interface that has it.",
        "kind": 'Who can reach it: "loopback", "link-local", "private", "global"; "all" for 0.0.0.0 and ::.',
        "meaning": "What it would mean to listen there, in words.",
        "prefix": "How many of its bits name the network.",
        "up": "Whether the interface works now; None if that is not told.",
    }

    interface: str
    host: str
    prefix: int
    kind: str
    meaning: str
    up: bool | None


class AddressTable(Sequence[MachineAddress]):
    """The addresses of this machine at one moment, in the system's order, then 0.0.0.0 and ::. It prints as a table."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[MachineAddress] = ()) -> None:
        self._rows = tuple(rows)

    def filter(self, kind: str | None = None, interface: str | None = None) -> AddressTable:
        """The addresses of this kind ("loopback", "link-local", "private", "global", "all"), of this interface, as a new table.

        Raises:
            ValueError: there is no such kind.
        """
        if kind is not None and kind not in (*_MEANING, "all"):
            raise ValueError(f"{kind!r} is no kind of address; it is one of {', '.join((*_MEANING, 'all'))}")
        kept = (row for row in self._rows if kind in (None, row.kind) and interface in (None, row.interface))
        return AddressTable(kept)

    def to_dicts(self) -> list[dict[str, object]]:
        """The rows as dictionaries of plain values."""
        names = ("interface", "host", "prefix", "kind", "meaning", "up")
        return [{name: getattr(row, name) for name in names} for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: int) -> MachineAddress: ...
    @overload
    def __getitem__(self, key: slice) -> AddressTable: ...
    def __getitem__(self, key: int | slice) -> MachineAddress | AddressTable:
        return AddressTable(self._rows[key]) if isinstance(key, slice) else self._rows[key]

    def __eq__(self, other: object) -> bool:
        return self._rows == other._rows if isinstance(other, AddressTable) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        from ..display.machine import addresses_text

        return addresses_text(self)

    def _repr_html_(self) -> str:
        from ..display.machine import addresses_html

        return addresses_html(self)


def addresses() -> AddressTable:
    """This machine's addresses as a table: interface, address, prefix, kind, and what it would mean to listen there.

    Observed: getifaddrs(3), on Windows GetAdaptersAddresses. Derived from the address itself: its kind (RFC 1918, 3927, 4193, 4291, 6598).
    The last two rows are no addresses of an interface: a listener on 0.0.0.0 has all of IPv4, one on :: all of IPv6.

    Raises:
        OSError: the system did not tell them.
    """
    rows = [
        MachineAddress(name, _with_zone(host, kind, name), prefix, kind, _meaning(host, prefix, kind, up), up)
        for name, host, prefix, kind, up in _interfaces()
    ]
    return AddressTable([*rows, *_all(rows)])


def _with_zone(host: str, kind: str, interface: str) -> str:
    """Every link may have the same link-local address: one has to say which link (RFC 4007)."""
    return f"{host}%{interface}" if kind == "link-local" and ":" in host else host


def _meaning(host: str, prefix: int, kind: str, up: bool | None) -> str:
    meaning = _MEANING[kind]
    if kind == "loopback" and ":" not in host and prefix == 8:
        meaning += "; all of 127.0.0.0/8 belongs to it"
    return meaning if up is not False else f"{meaning}; the interface is down now"


def _all(rows: Sequence[MachineAddress]) -> list[MachineAddress]:
    """The two addresses that stand for all of a family, as far as this machine has the family."""
    found = []
    for every, prefix, family in (("0.0.0.0", 0, "IPv4"), ("::", 0, "IPv6")):
        own = [row for row in rows if (":" in row.host) == (":" in every)]
        if not own:
            continue
        others = [row.host for row in own if row.kind != "loopback"]
        adds = f"loopback and {', '.join(others)}" if others else "only loopback, now"
        meaning = f"all {family} addresses of this machine at once ({adds}), and those that it gets later"
        if family == "IPv6":
            meaning += "; with dual_stack=True those of IPv4 too"
        found.append(MachineAddress("(all)", every, prefix, "all", meaning, None))
    return found
