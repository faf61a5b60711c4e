"""The promise: a wire that refuses keeps its port, whoever else wants it; and if it cannot listen again it says so and goes on refusing."""

from __future__ import annotations

import errno
import socket
import sys

import pytest
import socklens as sl
from network import free_port
from wiring import through

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="only on Linux can a socket stop listening and keep its port"
    ),
]


def somebody_else(address: tuple[str, int], reuse: bool) -> socket.socket:
    """A foreign socket that listens there."""
    foreign = socket.socket()
    try:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        foreign.bind(address)
        foreign.listen()
    except BaseException:
        foreign.close()
        raise
    return foreign


@pytest.mark.parametrize("asked", [True, False], ids=["a port asked for", "any port"])
@pytest.mark.parametrize("connected", [True, False], ids=["with a client", "without"])
def test_nobody_else_can_have_the_port(asked: bool, connected: bool) -> None:
    with sl.Server(sl.Echo(), port=0) as server, sl.Wire(server, port=free_port() if asked else 0) as wire:
        clients = [sl.connect(wire.local_addr)] if connected else []
        for _ in range(3):
            wire.refuse = True
            for reuse in (False, True):
                for host in (wire.local_addr.host, "0.0.0.0"):
                    with pytest.raises(OSError, match="in use") as caught:
                        somebody_else((host, wire.local_addr.port), reuse)
                    assert caught.value.errno == errno.EADDRINUSE
            with pytest.raises(ConnectionRefusedError):
                sl.connect(wire.local_addr)
            wire.refuse = False
            with sl.connect(wire.local_addr, timeout=5) as client:
                client.sendall(b"x")
                assert client.recv(timeout=5) == b"x"
        for client in clients:
            client.close()


def test_a_wire_that_cannot_listen_again_says_who_is_there_and_goes_on_refusing() -> None:
    with through() as (wire, client, server):
        wire.refuse = True
        # What no program does by accident: it gives the wire's port away.
        wire.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with somebody_else(wire.local_addr, True):
            with pytest.raises(OSError, match=rf"{wire.local_addr}; the wire goes on refusing.*This program") as caught:
                wire.refuse = False
            assert caught.value.errno == errno.EADDRINUSE
            assert wire.refuse
            assert wire.arrivals == "refuse=True"
            assert wire.story[-1].what == "trouble"
            wire.drop = True
            wire.drop = False
            client.sendall(b"open ones go on")
            assert server.recv_exactly(15) == b"open ones go on"
        wire.refuse = False
        assert not wire.refuse
        sl.connect(wire.local_addr).close()
