"""This machine's addresses, a name's addresses and what is known of a port, as drawings. Pure functions of frozen values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ports import as_html, as_text
from .tables import Drawing, Group, markup, text

if TYPE_CHECKING:
    from .._ports import AddressTable, PortCheck, Resolved


def addresses_text(table: AddressTable) -> str:
    """The addresses as lines."""
    return text(_addresses(table)) if table else "<AddressTable: no addresses>"


def addresses_html(table: AddressTable) -> str:
    """The addresses for a notebook."""
    return markup(_addresses(table))


def _addresses(table: AddressTable) -> Drawing:
    rows = tuple((row.interface, row.host, _prefix(row.prefix, row.kind), row.kind, row.meaning) for row in table)
    head = ("interface", "address", "prefix", "kind", "what it means to listen there")
    return Drawing(head, (Group(rows),), prose=(4,))


def _prefix(prefix: int, kind: str) -> str:
    return "" if kind == "all" else f"/{prefix}"


def resolved_text(found: Resolved) -> str:
    """A name's addresses as lines."""
    return text(_resolved(found))


def resolved_html(found: Resolved) -> str:
    """A name's addresses for a notebook."""
    return markup(_resolved(found))


def _resolved(found: Resolved) -> Drawing:
    rows = tuple(
        (str(place), str(address) if address.port else address.host, "IPv6" if ":" in address.host else "IPv4", source)
        for place, (address, source) in enumerate(zip(found, found.sources, strict=True), 1)
    )
    many = "1 address" if len(rows) == 1 else f"{len(rows)} addresses, in the order in which connect tries them"
    return Drawing(("", "address", "family", "from"), (Group(rows),), (0,), title=f"{found.name}: {many}")


def check_text(check: PortCheck) -> str:
    """What is known of a port, as lines, and its sockets below."""
    facts = text(_check(check))
    return f"{facts}\n\n{as_text(check.rows)}" if check.rows else facts


def check_html(check: PortCheck) -> str:
    """What is known of a port, for a notebook, and its sockets below."""
    return markup(_check(check)) + (as_html(check.rows) if check.rows else "")


def _check(check: PortCheck) -> Drawing:
    rows = (
        ("service", check.service or "none is registered for it here"),
        ("privileged", _answer(check.privileged, "yes: only root may listen on it", "no")),
        ("reserved", _answer(check.reserved, "yes: the kernel does not give it to clients", "no")),
        ("ephemeral", _answer(check.ephemeral, "yes: the kernel may give it to any client", "no")),
        ("browsers", "refuse to connect to it" if check.blocked_by_browsers else "connect to it"),
        ("in use", _use(check)),
    )
    return Drawing(
        ("", "what is known"), (Group(tuple(row for row in rows if row[1])),), prose=(1,), title=f"port {check.port}"
    )


def _answer(known: bool | None, yes: str, no: str) -> str:
    return "" if known is None else yes if known else no


def _use(check: PortCheck) -> str:
    if check.free:
        return "free: no socket has it"
    facts = [f"{row.local} {'listens' if row.role == 'listener' else 'is bound'}" for row in check.listeners[:3]]
    if len(check.listeners) > 3:
        facts.append(f"{len(check.listeners) - 3} more listen")
    if check.connections:
        facts.append(_count(len(check.connections), "connection"))
    if check.resting:
        left = "" if check.seconds_left is None else f", {check.seconds_left:.0f} s left"
        facts.append(f"{len(check.resting):,} in TIME_WAIT{left}")
    return ", ".join(facts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
