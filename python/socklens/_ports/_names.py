"""What a name stands for: every address in the order in which connect tries them, and where each is from as far as that can be known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from socket import inet_aton
from types import EllipsisType

from .._address import Address
from .._door import door
from .._socklens import _endpoint, _resolve

HOSTS = Path("/etc/hosts")


class Resolved(Sequence[Address]):
    """The addresses of a name with a port, first the one that connect tries first. It prints as a table.

    ``sources`` has where each is from: "number" (it was written out), "/etc/hosts" (hosts(5) lists it), or "resolver" (the system's
    getaddrinfo(3) told it: DNS, mDNS or another service that nsswitch.conf(5) names; it does not say which).
    """

    # As a dictionary, so that Shift-Tab explains them.
    __slots__ = {
        "_addresses": None,
        "name": "The name that was asked about.",
        "sources": 'Where each address is from: "number", "/etc/hosts" or "resolver".',
    }

    def __init__(self, name: str, addresses: Sequence[Address], sources: Sequence[str]) -> None:
        self.name = name
        self._addresses = tuple(addresses)
        self.sources = tuple(sources)

    def __len__(self) -> int:
        return len(self._addresses)

    def __getitem__(self, key):  # type: ignore[no-untyped-def]  # an int gives an Address, a slice a tuple of them
        return self._addresses[key]

    def __iter__(self) -> Iterator[Address]:
        return iter(self._addresses)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resolved):
            return NotImplemented
        return (self.name, self._addresses, self.sources) == (other.name, other._addresses, other.sources)

    def __hash__(self) -> int:
        return hash((self.name, self._addresses, self.sources))

    def __repr__(self) -> str:
        from ..display.machine import resolved_text

        return resolved_text(self)

    def _repr_html_(self) -> str:
        from ..display.machine import resolved_html

        return resolved_html(self)


def resolve(name: str, port: int | None = None, *, timeout: float | EllipsisType | None = ...) -> Resolved:
    """Every address that a name stands for, in the order in which `connect` tries them (RFC 6724). It connects to none of them.

    Observed: getaddrinfo(3), the same call that `connect` makes. Derived: where an address is from, by looking into /etc/hosts.

    Args:
        name: a host name or an address, or the whole endpoint, as ``"localhost:6666"``.
        port: the port to put beside each; 0 if there is none.
        timeout: seconds for the resolver's answer; None waits for ever; left out, the default timeout.

    Raises:
        socket.gaierror: the name has no address. TimeoutError: the resolver gave no answer in time.
        ValueError, TypeError, OverflowError: there is no such endpoint.
    """
    with door:
        host, number = _endpoint(name, port)
        found = _resolve(host, number or 0, timeout)
    if _is_number(host):
        return Resolved(host, found, ["number"] * len(found))
    listed = _listed(host)
    return Resolved(host, found, ["/etc/hosts" if address.host in listed else "resolver" for address in found])


def _is_number(host: str) -> bool:
    """Whether it is an address that is written out, also as inet_aton(3) understands it: 127.1 is 127.0.0.1."""
    try:
        ip_address(host)
    except ValueError:
        try:
            inet_aton(host)
        except OSError:
            return False
    return True


def _listed(name: str) -> set[str]:
    """The addresses that hosts(5) has for a name; none where there is no such file to read."""
    try:
        text = HOSTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    wanted = name.rstrip(".").lower()
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return {address for address, *names in filter(None, lines) if wanted in map(str.lower, names)}
