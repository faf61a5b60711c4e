"""Which rows are meant by a port, a host, a state: words and numbers, checked and understood. Nothing here asks the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from os import getpid
from typing import TypeAlias

from .._address import Address
from .._socklens import TcpState, _endpoint, _resolve
from ._row import PortRow, Role

AnyState: TypeAlias = TcpState | str | Iterable[TcpState | str]
"""A state, its name as the RFC, netstat or ss have it, or several of them."""

_STATES = {
    name: getattr(TcpState, name)
    for name in (
        "ESTABLISHED SYN_SENT SYN_RECEIVED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED CLOSE_WAIT LAST_ACK LISTEN CLOSING"
    ).split()
}
# What netstat and ss call them, where that is another name.
_ALIASES = {
    "ESTAB": "ESTABLISHED",
    "SYN_RECV": "SYN_RECEIVED",
    "FIN_WAIT1": "FIN_WAIT_1",
    "FIN_WAIT2": "FIN_WAIT_2",
    "CLOSE": "CLOSED",
    "UNCONN": "CLOSED",
    "LISTENING": "LISTEN",
    "TIMEWAIT": "TIME_WAIT",
}

Test: TypeAlias = Callable[[PortRow], bool]


def tests(
    port: int | None, host: str | Address | None, state: AnyState | None, pid: int | None, mine: bool, role: str | None
) -> list[Test]:
    """What a row has to pass, one function for each thing that was asked.

    Raises:
        ValueError, TypeError, OverflowError: there is no such port, host, state or role.
    """
    asked: list[Test] = []
    if port is not None:
        number = port_number(port)
        asked.append(lambda row: row.local.port == number or (row.peer is not None and row.peer.port == number))
    if host is not None:
        asked.append(_at(host.host if isinstance(host, Address) else host))
    if state is not None:
        states = _states(state)
        asked.append(lambda row: row.state in states)
    if pid is not None:
        asked.append(lambda row: row.pid == pid)
    if mine:
        this = getpid()
        asked.append(lambda row: row.pid == this or row.owner is not None)
    if role is not None:
        part = _role(role)
        asked.append(lambda row: row.role is part)
    return asked


def port_number(port: object) -> int:
    """A port, checked as everywhere in this package.

    Raises:
        TypeError, OverflowError: it is none.
    """
    number = _endpoint("127.0.0.1", port)[1]  # type: ignore[arg-type]  # the check of what it is lies there
    return 0 if number is None else number


def _at(host: str) -> Test:
    """Rows with this address at either end, and listeners on all addresses of its family."""
    if not isinstance(host, str):
        raise TypeError(f"a host is text such as '127.0.0.1', not {type(host).__name__}")
    hosts = {address.host for address in _resolve(host, 0)}

    def at(row: PortRow) -> bool:
        if row.local.host in hosts or (row.peer is not None and row.peer.host in hosts):
            return True
        every = row.local.host
        return row.peer is None and (
            (every == "0.0.0.0" and any(":" not in one for one in hosts))
            or (every == "::" and any(":" in one for one in hosts))
        )

    return at


def _states(state: AnyState) -> set[TcpState]:
    if isinstance(state, TcpState | str):
        return {_state(state)}
    return {_state(one) for one in state}


def _state(state: TcpState | str) -> TcpState:
    if isinstance(state, TcpState):
        return state
    if not isinstance(state, str):
        raise TypeError(f"a state is a TcpState or its name, not {type(state).__name__}")
    name = state.strip().upper().replace("-", "_").replace(" ", "_")
    found: TcpState | None = _STATES.get(_ALIASES.get(name, name))
    if found is None:
        close = get_close_matches(name, _STATES, 1)
        hint = f"did you mean {close[0]}?" if close else f"it is one of {', '.join(_STATES)}"
        raise ValueError(f"{state!r} is no state of TCP; {hint}")
    return found


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise ValueError(f"{role!r} is no role; it is one of {', '.join(map(repr, map(str, Role)))}") from None
