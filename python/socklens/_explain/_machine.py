"""What this machine knows of itself: its addresses, its routes, its names, its limits. Reads files of the kernel and /etc/hosts; asks no
network and no name server.
"""

from __future__ import annotations

import ipaddress
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ._budget import Budget

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

ADDRESSES = "/proc/net/fib_trie and /proc/net/if_inet6"
ROUTES = "/proc/net/route and /proc/net/ipv6_route"
NEIGHBOURS = "/proc/net/arp"
HOSTS = "/etc/hosts"
UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"
LOCAL_PORTS = "net.ipv4.ip_local_port_range"

_REJECT = 0x200  # RTF_REJECT (linux/route.h)


class Route(NamedTuple):
    """One route of the kernel's table."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    interface: str
    refuses: bool
    """Whether it leads nowhere: unreachable, prohibit or blackhole (ip-route(8))."""


def ip(host: str) -> Ip | None:
    """The address; None if it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def addresses(budget: Budget) -> list[str]:
    """The addresses of this machine's interfaces, IPv4 first; empty where they could not be read."""
    found: list[str] = []
    last = ""
    for line in _lines("/proc/net/fib_trie", budget):
        # A leaf's address comes on a line of its own, before what the kernel does with it.
        if line.lstrip().startswith("|--"):
            last = line.split()[-1]
        elif "/32 host LOCAL" in line and last not in found:
            found.append(last)
    for line in _lines("/proc/net/if_inet6", budget):
        number, _, _, scope, _, interface = line.split()
        zone = f"%{interface}" if scope == "20" else ""
        found.append(f"{ipaddress.IPv6Address(int(number, 16))}{zone}")
    return found


def is_here(host: str, budget: Budget) -> bool | None:
    """Whether the address is this machine's own; None where that cannot be told."""
    address = ip(host)
    if address is None:
        return None
    if address.is_loopback or address.is_unspecified:
        return True
    own = [ip(one) for one in addresses(budget)]
    return address in own if own else None


def routes(version: int, budget: Budget) -> list[Route]:
    """The routes of one IP version; without the one by which the kernel refuses whatever has no other."""
    found = []
    if version == 4:
        for line in _lines("/proc/net/route", budget)[1:]:
            interface, target, _, flags, _, _, _, mask, *_ = line.split()
            # A blackhole has no flag, and no interface.
            refuses = bool(int(flags, 16) & _REJECT) or interface == "*"
            found.append(Route(ipaddress.IPv4Network((_v4(target), _v4(mask))), interface, refuses))
    else:
        for line in _lines("/proc/net/ipv6_route", budget):
            target, length, *_, flags, interface = line.split()
            refuses = bool(int(flags, 16) & _REJECT)
            found.append(Route(ipaddress.IPv6Network((int(target, 16), int(length, 16))), interface, refuses))
    return [route for route in found if not (route.refuses and route.network.prefixlen == 0)]


def _v4(number: str) -> str:
    # Written in the machine's own byte order.
    return str(ipaddress.IPv4Address(struct.pack("=I", int(number, 16))))


def silent_neighbour(host: str, budget: Budget) -> bool:
    """Whether the kernel asked the local network for this IPv4 address and nobody answered."""
    return any(line.split()[0] == host and int(line.split()[2], 16) == 0 for line in _lines(NEIGHBOURS, budget)[1:])


def names(budget: Budget) -> list[str]:
    """The names that this machine's own file knows."""
    found = ["localhost"]
    for line in _lines(HOSTS, budget):
        found += line.partition("#")[0].split()[1:]
    return list(dict.fromkeys(found))


def setting(name: str, budget: Budget) -> list[int]:
    """A setting of the kernel (sysctl), its numbers; empty where it cannot be read."""
    lines = _lines("/proc/sys/" + name.replace(".", "/"), budget)
    return [int(word) for line in lines for word in line.split() if word.isdecimal()]


def _lines(path: str, budget: Budget) -> list[str]:
    if budget.spent(path):
        return []
    with suppress(FileNotFoundError):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read(262144).splitlines()
        except OSError as error:
            budget.missed(path, error.strerror)
            return []
    budget.missed(path, "this system has no such file")
    return []
