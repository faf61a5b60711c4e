"""The stage of a lesson: the lecture's addresses and ports where they can be had, an explained substitute where not, and the
kernel's own table of what is left.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
import socklens as sl
from socklens.lessons import stage

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has 127.0.0.0/8 and /proc/net/tcp")


def _private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ports than the lecture's, which other programs and tests use as well."""
    with sl.listen(stage.A.host) as a, sl.listen(stage.B.host) as b:
        ports = a.local_addr.port, b.local_addr.port
    monkeypatch.setattr(stage, "A", sl.Address(stage.A.host, ports[0]))
    monkeypatch.setattr(stage, "B", sl.Address(stage.B.host, ports[1]))


@linux
def test_the_cast_is_the_lectures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _private(monkeypatch)
    assert stage.cast() == (stage.A, stage.B, stage.C)
    assert f"A listens on     {stage.A}\n" in capsys.readouterr().out


@linux
def test_a_taken_port_is_replaced_and_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _private(monkeypatch)
    with socket.create_server(tuple(stage.A)):
        a, _, _ = stage.cast()
    assert a.host == stage.A.host
    assert a.port not in (0, stage.A.port)
    told = capsys.readouterr().out
    assert f"A cannot listen on {stage.A}" in told
    assert f"A listens on     {a}\n" in told


def test_a_machine_with_one_loopback_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "_is_local", lambda host: host == "127.0.0.1")
    assert {address.host for address in stage.cast()} == {"127.0.0.1"}
    assert "has only 127.0.0.1" in capsys.readouterr().out


@linux
def test_a_taken_source_port_falls_back_to_any(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _private(monkeypatch)
    assert stage.usable(stage.B) == stage.B
    assert capsys.readouterr().out == ""
    with socket.create_server(tuple(stage.B)):
        assert stage.usable(stage.B) == (stage.B.host, 0)
    assert "the kernel picks another port" in capsys.readouterr().out


@linux
@pytest.mark.parametrize("accepted", [False, True])
def test_running_the_connecting_cell_again(
    accepted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _private(monkeypatch)
    with sl.listen() as listener:
        cells: dict[str, Any] = {"sl": sl, "usable": stage.usable, "listener": listener, "B": stage.B}
        for _ in range(3):
            exec("b = sl.connect(listener.local_addr, source=usable(B))", cells)
            assert cells["b"].local_addr == stage.B
            if accepted:
                exec("a_for_b = listener.accept(timeout=5)", cells)
                assert cells["a_for_b"].peer_addr == stage.B
            assert listener.backlog.waiting == (0 if accepted else 1)
        cells["b"].abort()
        if accepted:
            cells["a_for_b"].close()
    assert capsys.readouterr().out.count("was held by the earlier `b`") == 2


@linux
def test_what_is_left_behind_is_read_from_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    with sl.listen("127.0.0.101") as listener:
        here = listener.local_addr
        with sl.connect(here) as client, listener.accept(timeout=5) as end:
            there = client.local_addr
            stage.left_behind(here)
            told = capsys.readouterr().out
            assert "LISTEN" in told
            assert told.count("ESTABLISHED") == 2
            end.shutdown("send")
    stage.left_behind(here)
    assert f"{here!s:<21} -> {there!s:<21}  TIME_WAIT" in capsys.readouterr().out
    stage.left_behind(sl.Address("127.0.0.101", 1))
    assert capsys.readouterr().out.endswith("127.0.0.101:1: nothing\n")
