"""The promise: what is not known stands in no next step: no name that a row lacks, no time that the kernel does not tell, nobody to close
what nobody has open.
"""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import socklens as sl
from explaining import can_be_done
from socklens import Address, Cause, TcpState
from socklens._explain import _machine, _process, _tables
from test_explain_budget import ERRORS

HERE, THERE = Address("127.0.0.1", 1), Address("127.0.0.1", 2)


def row(state: TcpState, local: Address = HERE, peer: Address | None = None, **known: Any) -> Any:
    """A row of the kernel's table that tells no more than it has to."""
    unknown = {"inode": 0, "uid": None, "seconds_left": None, "accept_queue": None, "accept_limit": None}
    queues = {"recv_queue": None, "send_queue": None}
    return SimpleNamespace(
        **{"local": local, "peer": peer, "state": state, "protocol": 4, **unknown, **queues, **known}
    )


def table(patch: pytest.MonkeyPatch, *rows: Any) -> None:
    """The kernel's table has these rows."""

    def asked(kind: str, port: int, v6: bool | None, left: float) -> tuple[list[Any], bool]:
        of_kind = {"listening": ("LISTEN",), "bound": ("CLOSED",)}.get(kind)
        found = [one for one in rows if (one.state.name in of_kind if of_kind else one.peer is not None)]
        return [one for one in found if port in (0, one.local.port)], True

    patch.setattr(_tables, "_port_rows", asked)
    patch.setattr(_process, "_open_by_others", lambda uid: iter(()))


ROWS: dict[str, list[Any]] = {
    "nothing": [],
    "a listener of nobody": [row(TcpState.LISTEN)],
    "a listener of somebody else": [row(TcpState.LISTEN, inode=1 << 40, uid=os.geteuid() + 1)],
    "listeners at the peer's": [row(TcpState.LISTEN, THERE, inode=1 << 40, uid=os.geteuid())],
    "bound by nobody": [row(TcpState.CLOSED)],
    "an orphan": [row(TcpState.FIN_WAIT_2, HERE, THERE)],
    "in TIME_WAIT": [row(TcpState.TIME_WAIT, Address("127.0.0.1", 2), HERE), row(TcpState.TIME_WAIT, HERE, THERE)],
    "not accepted": [row(TcpState.ESTABLISHED, THERE, HERE)],
    "another's": [row(TcpState.ESTABLISHED, THERE, HERE, inode=1 << 40, uid=os.geteuid())],
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("what", ERRORS)
def test_a_step_names_only_what_is_known(what: str, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table(monkeypatch, *ROWS[rows])
    found = can_be_done(sl.explain(ERRORS[what]))
    assert found.cause is not Cause.NOT_KNOWN


@pytest.mark.parametrize(
    "number", [errno.ECONNREFUSED, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.ENETUNREACH]
)
@pytest.mark.parametrize("text", ["x", "connect to 127.0.0.1:0: x", "listen on 0.0.0.0:0: x"])
def test_without_an_endpoint_and_without_files_of_the_kernels(
    number: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(monkeypatch)
    monkeypatch.setattr(_machine, "_lines", lambda path, budget: [])
    found = can_be_done(sl.explain(OSError(number, text)))
    assert all(fact.text.strip() and not fact.text.endswith(" from ") for fact in found.evidence)


def test_time_wait_of_unknown_length(monkeypatch: pytest.MonkeyPatch) -> None:
    table(monkeypatch, *ROWS["in TIME_WAIT"])
    for what in ("in use", "source"):
        found = sl.explain(ERRORS[what])
        assert (found.cause, found.next_step.partition(",")[0]) == (Cause.TIME_WAIT, "Wait a minute")


def test_what_no_program_has_open_nobody_is_told_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    table(monkeypatch, *ROWS["an orphan"])
    found = sl.explain(ERRORS["in use"])
    assert "of no process (any more)" in str(found.evidence[0])
    assert "lose" not in found.next_step
    assert found.next_step.startswith("Wait until the kernel has ended that connection")


@pytest.mark.parametrize("name", ["", "http://", "http:///index.html", " "])
def test_a_name_that_is_none_at_all(name: str) -> None:
    with pytest.raises((OSError, ValueError)) as caught:
        sl.connect(name, 80, timeout=5)
    can_be_done(sl.explain(caught.value))


def test_the_program_that_reset_may_have_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    table(monkeypatch, *ROWS["listeners at the peer's"])
    found = sl.explain(ConnectionResetError(errno.ECONNRESET, "recv on Connection 127.0.0.1:1 -> 127.0.0.1:2: x"))
    assert found.next_step.startswith("Look at the program that listens there")


def test_a_name_of_the_standard_librarys() -> None:
    with pytest.raises(socket.gaierror) as caught:
        socket.getaddrinfo("nowhere.invalid", 80)
    assert can_be_done(sl.explain(caught.value)).cause is Cause.NAME_NOT_FOUND
