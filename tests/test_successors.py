"""The promise: a connection that is over is not mistaken for another one that has its four-tuple now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import socklens as sl
from helpers import eventually

State = sl.TcpState


@pytest.mark.parametrize(
    "end",
    [
        # None leaves TIME_WAIT behind, which would keep the endpoints from being used again.
        lambda client, server: server.abort(),
        lambda client, server: client.abort(),
        lambda client, server: (server.abort(), client.close()),
    ],
    ids=["reset by the peer, still open", "aborted", "reset by the peer and closed"],
)
def test_a_successor_with_the_same_endpoints(
    listener: sl.Listener, end: Callable[[sl.Connection, sl.Connection], object]
) -> None:
    # A port of which nothing rests in TIME_WAIT; one that the kernel chooses for a client may have an old connection to elsewhere.
    with sl.listen() as free:
        source = free.local_addr
    with (
        sl.connect(listener.local_addr, source=source, timeout=10) as first,
        listener.accept(timeout=10) as first_server,
    ):
        end(first, first_server)
        eventually(lambda: first.state == first_server.state == State.CLOSED)
        with (
            sl.connect(listener.local_addr, source=first.local_addr, timeout=10) as second,
            listener.accept(timeout=10) as second_server,
        ):
            assert (second.local_addr, second.peer_addr) == (first.local_addr, first.peer_addr)
            assert second.state == second_server.state == State.ESTABLISHED
            assert first.state == first_server.state == State.CLOSED
            assert "ESTABLISHED" not in repr(first)
            second.shutdown("send")
            assert second_server.recv(timeout=10) == b""
            assert first.state == first_server.state == State.CLOSED


def test_a_connection_that_somebody_else_goes_on_with_is_told_as_it_is() -> None:
    client, server = sl.pair()
    with server, client.to_socket() as sock:
        assert client.state == State.ESTABLISHED
        sock.shutdown(1)
        assert server.recv(timeout=10) == b""
        eventually(lambda: client.state == State.FIN_WAIT_2)
    eventually(lambda: client.state == State.TIME_WAIT)
