"""Using what this program has closed says which object it was, by which call, and how it ended; what needs no socket still answers.
Every public name is tried: a new one has to find its place here.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socklens as sl

# What a call needs to be made, where that is anything.
ARGUMENTS: dict[str, list[Any]] = {
    "send": [b"x"],
    "sendall": [b"x"],
    "send_frame": [b"x"],
    "recv_exactly": [1],
    "recv_into": [bytearray(1)],
    "recv_until": [b";"],
    "unrecv": [b"x"],
    "getsockopt": [1, 8],
    "setsockopt": [1, 8, 10_000],
}
# What answers on a closed object too; `from_socket` is a way to make one.
ANSWERS = {
    "local_addr",
    "peer_addr",
    "created_at",
    "closed_at",
    "closed",
    "state",
    "totals",
    "timeout",
    "fileno",
    "close",
    "abort",
    "aio",
}
ANSWERS |= {"accepted", "connections", "from_socket"}

ENDS: list[tuple[str, str]] = [
    ("close", "closed"),
    ("abort", "aborted"),
    ("detach", "detached"),
    ("to_socket", "detached"),
]


def uses(kind: type) -> list[str]:
    """All that needs its socket."""
    return [name for name in dir(kind) if not name.startswith("_") and name not in ANSWERS]


def use(obj: Any, name: str) -> None:
    """Calls the method, or reads the attribute."""
    value = getattr(obj, name)
    if callable(value):
        value = value(*ARGUMENTS.get(name, []))
    if isinstance(value, sl.Lines):
        next(value)


def end(obj: Any, how: str) -> None:
    """Ends its use, and closes the socket itself where that was given away."""
    given = getattr(obj, how)()
    if isinstance(given, int):
        os.close(given)
    elif given is not None:
        given.close()


def is_refused(obj: Any, how: str, name: str, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
    with pytest.raises(sl.ClosedError) as caught:
        call(*args, **kwargs)
    assert caught.value.errno == errno.EBADF
    said = str(caught.value)
    assert f"{who(obj)} was {how} by this program" in said
    assert re.search(rf"\b{name}\b", said), f"the call was {name}"


def who(obj: Any) -> str:
    if isinstance(obj, sl.Listener):
        return f"Listener {obj.local_addr}"
    return f"Connection {obj.local_addr} -> {obj.peer_addr}"


@pytest.fixture(params=ENDS, ids=lambda end: end[0])
def ended(request: pytest.FixtureRequest) -> Iterator[tuple[Any, str]]:
    """A connection whose use has ended in one of all ways, and the word for that way."""
    client, server = sl.pair()
    with server:
        end(client, request.param[0])
        yield client, request.param[1]


@pytest.mark.parametrize("name", uses(sl.Connection))
def test_a_connection_that_is_over(ended: tuple[Any, str], name: str) -> None:
    conn, how = ended
    is_refused(conn, how, name, use, conn, name)


def test_nothing_is_too_little_to_be_refused(ended: tuple[Any, str]) -> None:
    conn, how = ended
    is_refused(conn, how, "send", conn.send, b"")
    is_refused(conn, how, "sendall", conn.sendall, b"")
    is_refused(conn, how, "unrecv", conn.unrecv, b"")
    is_refused(conn, how, "recv", conn.recv, timeout=0)
    is_refused(conn, how, "recv_exactly", conn.recv_exactly, 0)


@pytest.mark.parametrize(("option", "value"), [("nodelay", True), ("keepalive", True), ("linger", 1)])
def test_options_of_a_connection_that_is_over(ended: tuple[Any, str], option: str, value: object) -> None:
    conn, how = ended
    is_refused(conn, how, option, setattr, conn, option, value)


def test_what_still_answers(ended: tuple[Any, str]) -> None:
    conn, _ = ended
    assert conn.closed
    assert conn.fileno() == -1
    assert conn.local_addr.port != conn.peer_addr.port
    assert conn.totals.sent == 0
    assert isinstance(conn.state, sl.TcpState)
    assert "line" in conn.created_at
    conn.timeout = 3
    assert conn.timeout == 3
    assert repr(conn) == f"<{who(conn)} closed>"


def test_ending_it_again_does_nothing(ended: tuple[Any, str]) -> None:
    conn, how = ended
    for _ in range(2):
        conn.close()
        conn.abort()
    with conn:
        pass
    is_refused(conn, how, "recv", conn.recv)


@pytest.mark.parametrize("how", ["close", "detach", "to_socket"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("name", uses(sl.Listener))
def test_a_listener_that_is_over(name: str, host: str, how: str) -> None:
    listener = sl.listen(host, 0)
    end(listener, how)
    is_refused(listener, dict(ENDS)[how], name, use, listener, name)


def test_what_still_answers_on_a_listener(listener: Any) -> None:
    with sl.connect(listener.local_addr, timeout=10), listener.accept(timeout=10) as accepted:
        listener.close()
        listener.close()
        assert listener.closed
        assert listener.fileno() == -1
        assert listener.accepted == 1
        assert listener.connections == [accepted]
        assert listener.state == sl.TcpState.CLOSED
        assert list(listener) == [], "a loop over a closed listener is over"
        assert repr(listener) == f"<{who(listener)} closed>"
        is_refused(listener, "closed", "reuse_addr", setattr, listener, "reuse_addr", True)


def test_views_outlive_their_connection() -> None:
    client, server = sl.pair()
    with server:
        client.send(b"hello")
        views = [client.input_buffer, client.output_buffer, client.info(), client.totals]
        shown = [repr(view) for view in views]
        client.close()
        assert [repr(view) for view in views] == shown


def test_an_iterator_over_lines_ends_with_its_connection() -> None:
    client, server = sl.pair()
    with server:
        server.sendall(b"one\ntwo\n")
        lines = client.lines(timeout=10)
        assert next(lines) == b"one\n"
        client.close()
        is_refused(client, "closed", "lines", next, lines)
