"""Why an endpoint could not be had or reached: refused, timed out, in use, not here, forbidden, no route, no such name. Each function adds
what it sees to the case, and returns the cause and the next step.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import sys
from typing import TYPE_CHECKING

from .. import TcpState
from .._address import Address, same
from ..display.escape import escape, quoted
from . import _call, _machine, _process, _scene, _servers, _tables, _wires
from ._case import Case, is_full, queue
from ._diagnosis import Cause

if TYPE_CHECKING:
    from ._tables import Row

Verdict = tuple[Cause, str]

_NEAR = 10  # ports on each side that count as neighbouring
_MOST = 5  # rows that are told one by one
_ANY = ("0.0.0.0", "::")


def refused(case: Case) -> Verdict:
    """ECONNREFUSED: the host is there and has answered with RST."""
    target = case.scene.target
    if target is None:
        return Cause.NOTHING_LISTENS, "Check address and port, and start the server first"
    if _machine.is_here(target.host, case.budget) is False:
        case.saw(
            f"{target.host} is not an address of this machine: who listens there is seen only there", _machine.ADDRESSES
        )
        return Cause.NOTHING_LISTENS, f"Look on that machine whether the server runs and listens on port {target.port}"
    rows = _tables.listeners(case.budget)
    if not rows and case.budget.unseen:
        return Cause.NOTHING_LISTENS, "Check address and port, and start the server first"
    now = [row for row in rows if _serves(row, target)]
    if now:
        case.saw_listener(now[0])
        return Cause.NOTHING_LISTENS, "It was refused a moment ago, and now somebody listens there: try again"
    case.saw(f"no socket listens on {target}", _tables.TABLE)
    if meant := _servers.not_started(case.scene, target):
        name, server = meant
        was = "has been stopped" if server.started else "has not been started"
        case.saw(f"`{name}` is a server for this port, and {was}", "the objects of this program")
        return Cause.NOTHING_LISTENS, f"Start it first: {name}.start()"
    gone = _closed_listener(case, target)
    if gone:
        case.saw(f"{target} was had by {gone}", "Listener.closed_at")
    same_port = [row for row in rows if row.local.port == target.port]
    for row in same_port[:_MOST]:
        case.saw_listener(row)
    if (wire := _wires.refusing(case.scene, target)) is not None:
        case.saw(f"a wire of this program has {target}, and is set to refuse=True", "Wire.refuse")
        return Cause.NOT_LISTENING, f"Set {wire or 'the wire'}.refuse = False, where its clients are to come in"
    for row in _tables.bound(case.budget, target):
        if _collides(row.local, target):
            case.saw(f"{case.owners.describe(row)} has bound {row.local} and does not listen", _tables.TABLE)
            return Cause.NOT_LISTENING, "Let it call listen() first: a socket that is only bound refuses every client"
    if same_port:
        there = same_port[0].local
        return (
            Cause.NOTHING_LISTENS,
            f"Connect to {there}, or let the server listen on {target.host}{_family_hint(there, target)}",
        )
    if gone:
        return Cause.NOTHING_LISTENS, "Let the server listen there again: its listener has been closed"
    near = [row for row in rows if 0 < abs(row.local.port - target.port) <= _NEAR and row.uid == os.geteuid()]
    near.sort(key=lambda row: abs(row.local.port - target.port))
    for row in near[:_MOST]:
        case.saw_listener(row)
    if near:
        return (
            Cause.NOTHING_LISTENS,
            f"Check the port: is it {near[0].local.port} instead of {target.port}? Else start the server first",
        )
    ours = [row for row in rows if case.owners.mine(row)]
    if "ipykernel" in sys.modules:  # listens for the notebook, on ports that no variable of the student's holds
        ours = [row for row in ours if case.owners.named(row)]
    for row in ours[:_MOST]:
        case.saw_listener(row)
    return Cause.NOTHING_LISTENS, "Check address and port, and start the server first"


def timed_out(case: Case) -> Verdict:
    """A connect that got no answer."""
    target = case.scene.target
    if target is None:
        return Cause.NO_ANSWER, "Check the address; a firewall that drops everything looks like a host that is away"
    if _machine.is_here(target.host, case.budget) is False:
        case.saw(f"{target.host} is not an address of this machine", _machine.ADDRESSES)
        _route(case, target.host)
        return (
            Cause.NO_ANSWER,
            "Check the address, and whether that host is up; a firewall that drops everything looks the same",
        )
    rows = [row for row in _tables.listeners(case.budget, target.port) if _serves(row, target)]
    for row in rows:
        case.saw_listener(row)
        if is_full(row):
            who = case.owners.named(row)
            name = f"`{who[0]}`" if who and who[0] else "the server"
            return Cause.BACKLOG_FULL, f"Let {name} call accept() for those who wait, or listen with a larger backlog="
    if rows:
        case.saw(f"{queue(rows[0])}, now", _tables.TABLE)
        return (
            Cause.NO_ANSWER,
            "Its queue has room now: try again, and let the server accept sooner or listen with a larger backlog=",
        )
    if not case.budget.unseen:
        case.saw(f"no socket listens on {target}", _tables.TABLE)
    return (
        Cause.NO_ANSWER,
        "Start the server first; if it runs, look whether a firewall of this machine drops what comes to it",
    )


def in_use(case: Case) -> Verdict:
    """EADDRINUSE: one address and port has one listener at a time."""
    target = case.scene.target
    if target is None:
        return Cause.ADDRESS_IN_USE, "Choose another port, or close what has this one"
    if target.port == 0:
        if low_high := _machine.setting(_machine.LOCAL_PORTS, case.budget):
            case.saw(f"the kernel chooses ports from {' to '.join(map(str, low_high))}", _machine.LOCAL_PORTS)
        return Cause.ADDRESS_IN_USE, "All ports that the kernel may choose are in use: close some sockets"
    listeners = [row for row in _tables.listeners(case.budget, target.port) if _collides(row.local, target)]
    another = "use another source port, or none" if _is_of_client(case) else "choose another port"
    if listeners:
        row = listeners[0]
        case.saw_listener(row)
        if row.local != target:
            case.saw(
                f"{row.local.host} stands for all addresses, {target.host} among them"
                if row.local.host in _ANY
                else f"{target.host} stands for all addresses, {row.local.host} among them",
                "ip(7)",
            )
        return (
            Cause.ADDRESS_IN_USE,
            f"{_remedy(case, row)}{_or(case, row)} {another}: one address and port has one listener at a time",
        )
    rows = [row for row in _tables.connections(case.budget, target.port) if _collides(row.local, target)]
    for row in rows[:_MOST]:
        _saw_connection(case, row)
    if len(rows) > _MOST:
        case.saw(f"and {len(rows) - _MOST} more connections of port {target.port}", _tables.TABLE)
    if rows and all(row.state == TcpState.TIME_WAIT for row in rows):
        return Cause.TIME_WAIT, f"{_rest(rows)}, {_reuse(case)}or {another}"
    if rows and not any(row.inode for row in rows):
        # Closed by its program already: the kernel alone has it until the peer has answered.
        return Cause.ADDRESS_IN_USE, f"Wait until the kernel has ended that connection, or {another}"
    if rows:
        return Cause.ADDRESS_IN_USE, f"Close that connection, or {another}"
    for row in _tables.bound(case.budget, target):
        if _collides(row.local, target):
            case.saw(f"{case.owners.describe(row)} has bound {row.local} and does not listen", _tables.TABLE)
            return Cause.NOT_LISTENING, f"{_remedy(case, row)}{_or(case, row)} {another}"
    case.saw(f"now no socket has {target}", _tables.TABLE)
    return Cause.ADDRESS_IN_USE, "It has become free: try again"


def not_available(case: Case) -> Verdict:
    """EADDRNOTAVAIL: the address is not this machine's, or no local port is left."""
    target, here = case.scene.target, _machine.addresses(case.budget)
    source = case.scene.source
    if target is not None and source is not None:
        return _source_taken(case, source, target)
    if case.scene.doing == "connect":
        low_high = _machine.setting(_machine.LOCAL_PORTS, case.budget)
        if low_high:
            case.saw(f"the kernel chooses local ports from {' to '.join(map(str, low_high))}", _machine.LOCAL_PORTS)
    if here:
        more = f" and {len(here) - 8} more" if len(here) > 8 else ""
        case.saw(f"this machine's addresses are {', '.join(map(escape, here[:8]))}{more}", _machine.ADDRESSES)
    if case.scene.doing == "connect":
        return (
            Cause.ADDRESS_NOT_AVAILABLE,
            "No local port is left for this target, or this machine has no address of that family: see the evidence",
        )
    near = difflib.get_close_matches(target.host, here, 1, 0.85) if target else []
    hint = f"Did you mean {near[0]}? " if near else ""
    if _is_of_client(case):
        return Cause.ADDRESS_NOT_AVAILABLE, (
            f"{hint}Leave out source=, or give one of this machine's own addresses: the kernel chooses the one that leads to the target"
        )
    return Cause.ADDRESS_NOT_AVAILABLE, (
        f"{hint}Listen on one of this machine's own addresses: 127.0.0.1 for programs on it, 0.0.0.0 for all its IPv4 interfaces"
    )


def _source_taken(case: Case, source: Address, target: Address) -> Verdict:
    """The connection that has both endpoints already."""
    for row in _tables.connections(case.budget, source.port):
        if same(row.local, source) and same(row.peer, target):
            _saw_connection(case, row)
            if row.state == TcpState.TIME_WAIT:
                return (
                    Cause.TIME_WAIT,
                    f"{_rest([row])}, or use another source port, or none: two endpoints have one connection at a time",
                )
            return (
                Cause.ADDRESS_IN_USE,
                "Close that connection, or use another source port, or none: two endpoints have one connection at a time",
            )
    if not case.budget.unseen:
        case.saw(f"now no connection {source} -> {target} is there", _tables.TABLE)
    return Cause.ADDRESS_IN_USE, "Try again, or use another source port, or none"


def forbidden(case: Case) -> Verdict:
    """EACCES or EPERM."""
    target = case.scene.target
    first = _machine.setting(_machine.UNPRIVILEGED, case.budget)
    if target is not None and case.scene.doing != "connect" and first and target.port < first[0]:
        case.saw(f"ports below {first[0]} are for privileged programs", _machine.UNPRIVILEGED)
        case.saw(f"this program runs as uid {os.geteuid()}", "geteuid(2)")
        return (
            Cause.PRIVILEGED_PORT,
            f"Choose a port from {first[0]} on, such as {target.port + 8000 if target.port + 8000 < 65536 else 8080}",
        )
    if target is not None and target.host.endswith(".255"):
        return Cause.FORBIDDEN, "That may be a broadcast address, and TCP has none: connect to one host's address"
    if target is not None and case.scene.doing == "connect" and _machine.is_here(target.host, case.budget) is False:
        route = _route(case, target.host)
        if route is not None and route.refuses:
            return Cause.FORBIDDEN, "That route of this machine forbids it (prohibit): ask whoever administers it"
    return Cause.FORBIDDEN, "A firewall or another rule of this machine forbids it: ask whoever administers it"


def unreachable(case: Case) -> Verdict:
    """ENETUNREACH or EHOSTUNREACH."""
    target = case.scene.target
    if target is None:
        return Cause.NO_ROUTE, "Check the address, and this machine's network"
    address = _machine.ip(target.host)
    if address is not None and (address.is_multicast or str(address) == "255.255.255.255"):
        case.saw(f"{target.host} stands for many hosts at once, and TCP connects two ends", "RFC 9293, section 3.9.2.3")
        return Cause.NO_ROUTE, "Connect to the address of one host"
    route = _route(case, target.host)
    if route is None:
        return Cause.NO_ROUTE, "Check the address; if it is right, this machine lacks a network that leads there"
    if route.refuses:
        return Cause.NO_ROUTE, "Check the address; if it is right, ask whoever administers this machine's routes"
    if _machine.ip(target.host) == route.network.broadcast_address and route.network.version == 4:
        case.saw(f"{target.host} is the broadcast address of {route.network}", _machine.ROUTES)
        return Cause.NO_ROUTE, "TCP has no broadcast: connect to one host's address"
    if _machine.silent_neighbour(target.host, case.budget):
        case.saw(f"nobody on the local network has answered for {target.host}", _machine.NEIGHBOURS)
        return Cause.NO_ROUTE, "Check the address, and whether that host is up"
    return Cause.NO_ROUTE, "That host, or one on the way, says so: check the address, and whether that host is up"


def refused_by_route(case: Case) -> Verdict | None:
    """EINVAL from connect: what the kernel says of a blackhole (ip-route(8)). None where there is no such route."""
    target = case.scene.target
    if target is None or case.scene.doing != "connect":
        return None
    route = _route(case, target.host)
    if route is None or not route.refuses:
        return None
    return Cause.NO_ROUTE, "That route swallows everything (blackhole): ask whoever administers this machine's routes"


def no_name(case: Case) -> Verdict:
    """A name that stands for no address."""
    name = _name(case)
    if name is None:
        return Cause.NAME_NOT_FOUND, "Check its spelling, or write the address itself, such as 127.0.0.1"
    case.saw(f"the name is {quoted(name[:80])}", "the call")
    bare = re.sub(r"^\w+://", "", name).partition("/")[0].strip()
    if not bare:
        return Cause.NOT_A_NAME, "Give a host's name or its address, such as 127.0.0.1"
    if bare != name:
        return (
            Cause.NOT_A_NAME,
            f"Leave out what is not the host's name: {quoted(bare[:80])}, and give the port beside it",
        )
    host, _, port = name.rpartition(":")
    if host and port.isdecimal() and ":" not in host:
        return Cause.NOT_A_NAME, f"Give the port beside the host: {quoted(host[:80])}, {port}"
    known = _machine.names(case.budget)
    if name in known:
        case.saw("this machine's own file knows it", _machine.HOSTS)
        return Cause.NAME_NOT_FOUND, "It has an address now, or none of the family that was asked for: try again"
    case.saw(f"it is none of the {len(known)} names of this machine's own file", _machine.HOSTS)
    if re.fullmatch(r"[\d.]+", name):
        return Cause.NAME_NOT_FOUND, "An IPv4 address has four numbers, 0 to 255, with dots between: check it"
    near = difflib.get_close_matches(name.lower(), known, 1, 0.7)
    if near:
        return Cause.NAME_NOT_FOUND, f"Did you mean {quoted(near[0])}?"
    if case.scene.number == socket.EAI_AGAIN:
        case.saw("no name server has answered", "EAI_AGAIN, getaddrinfo(3)")
        return (
            Cause.NAME_NOT_FOUND,
            "Look whether this machine has a network, or write the address itself, such as 127.0.0.1",
        )
    return Cause.NAME_NOT_FOUND, "Check its spelling, or write the address itself, such as 127.0.0.1"


def _name(case: Case) -> str | None:
    if found := re.search(r'the name "(.+?)" has no address|^"(.+?)" is a URL', case.scene.text):
        return found[1] or found[2]
    return _scene.host_of(case.scene.args)


def _serves(row: Row, target: Address) -> bool:
    """Whether a client of `target` comes to this listener."""
    host = row.local.host
    return row.local.port == target.port and (
        host == target.host or (host in _ANY and (":" in host) == (":" in target.host))
    )


def _collides(held: Address, wanted: Address) -> bool:
    """Whether two sockets cannot have these addresses at once, as far as the table tells: dual-stack sockets have both families."""
    if held.port != wanted.port:
        return False
    one, other = held.host, wanted.host
    return one == other or "::" in (one, other) or ("0.0.0.0" in (one, other) and (":" in one) == (":" in other))


def _family_hint(there: Address, target: Address) -> str:
    if (":" in there.host) == (":" in target.host):
        return ""
    return f": {'IPv6' if ':' in there.host else 'IPv4'} is another family, with ports of its own"


def _closed_listener(case: Case, target: Address) -> str:
    for named in _process.objects(case.scene, case.budget):
        if _process.is_closed(named[1]) and _scene.ends_of(named[1]) == (target, None):
            return f"the listener {_process.called(named)}; {_process.closing(named[1])}"
    return ""


def _is_of_client(case: Case) -> bool:
    """Whether the endpoint was to be a client's own, by source=."""
    return "connect from" in case.scene.text


def _rest(rows: list[Row]) -> str:
    """How long they rest in TIME_WAIT: until the last is over, which Linux lets take a minute where it does not tell."""
    left = [row.seconds_left for row in rows]
    known = [seconds for seconds in left if seconds is not None]
    return f"Wait {max(known):.0f} s" if len(known) == len(left) else "Wait a minute"


def _reuse(case: Case) -> str:
    """What would have given the port in spite of TIME_WAIT, if the call can be told to; with its comma."""
    if case.scene.named.get("reuse_addr", _call.UNKNOWN) is False:
        return "leave out reuse_addr=False, "
    # Where sl.listen had it on, the socket that rests had it off: it helps only on both (inet_csk_get_port).
    return "" if case.scene.ours else "set SO_REUSEADDR before bind (sl.listen does), "


def _remedy(case: Case, row: Row) -> str:
    if not case.owners.mine(row):
        ours = " (replace=True closes only listeners of this program)"
        return f"{case.owners.ending(row)}{ours if case.scene.named.get('replace') is True else ''}"
    if (owner := case.owners.server(row)) is not None:
        return f"Use {owner} first"
    named = case.owners.named(row)
    return f"Use {named[0]}.close() first" if named and named[0] else "Close that socket first"


def _or(case: Case, row: Row) -> str:
    """What stands between the remedy and another way: a command line ends with a semicolon."""
    return ", or" if case.owners.mine(row) else "; or"


def _saw_connection(case: Case, row: Row) -> None:
    if row.state == TcpState.TIME_WAIT:
        left = f", for {row.seconds_left:.0f} s more" if row.seconds_left is not None else ""
        case.saw(f"the old connection {row.local} -> {row.peer} rests in TIME_WAIT{left}", _tables.TABLE)
    else:
        who = case.owners.describe(row)
        case.saw(f"a connection {row.local} -> {row.peer} has it, in state {row.state.name}, of {who}", _tables.TABLE)


def _route(case: Case, host: str) -> _machine.Route | None:
    """Adds the route that leads there, that it leads nowhere, or that there is none; the route."""
    address = _machine.ip(host)
    if address is None:
        return None
    fits = [route for route in _machine.routes(address.version, case.budget) if address in route.network]
    if not fits:
        case.saw(f"no route of this machine leads to {host}, and there is no default route", _machine.ROUTES)
        return None
    best = max(fits, key=lambda route: route.network.prefixlen)
    what = "the default route" if best.network.prefixlen == 0 else f"the route to {best.network}"
    leads = "leads nowhere: it is there to refuse" if best.refuses else "leads there"
    where = "" if best.refuses else f", by the interface {escape(best.interface)}"
    case.saw(f"{what} {leads}{where}", _machine.ROUTES)
    return best
