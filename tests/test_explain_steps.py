"""The promise: the next step is a thing to do, in words that fit the call: a client is not told to listen, nor a line to be a frame."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from explaining import explained, patiently, seen
from socklens import Cause, Connection

Pair = tuple[Connection, Connection]
connect: Any = sl.connect  # with arguments that the stub refuses


@pytest.mark.parametrize(
    ("kind", "call", "step"),
    [
        (TypeError, lambda: connect("127.0.0.1", "6666"), "Write it without quotes"),
        (ValueError, lambda: sl.connect("127.0.0.1"), 'Write connect("127.0.0.1", 6666)'),
        (
            TypeError,
            lambda: connect("127.0.0.1", 1, timeout="1"),
            "Give a number of seconds, or None to wait for ever",
        ),
        (OverflowError, lambda: sl.listen(port=70000), "Give another value: a port is a 16-bit number, 0 to 65535"),
        (ValueError, lambda: sl.connect("", 80), 'Give another value: "127.0.0.1" is this machine itself'),
        (ValueError, lambda: sl.connect("a:80:80", 80), "Give another value: it is written host:port"),
        (ValueError, lambda: sl.Server(sl.Echo(), mode="one"), "Leave out mode='one'"),
    ],
)
def test_what_an_argument_has_to_be(kind: type[Exception], call: Callable[[], Any], step: str) -> None:
    found = explained(kind, call)
    assert found.cause is Cause.NOT_TAKEN
    assert found.next_step.startswith(step)


def test_how_much_to_read(pair: Pair) -> None:
    client, _ = pair
    found = explained(ValueError, lambda: client.recv(0))
    assert (found.cause, found.next_step) == (Cause.NOT_TAKEN, "Give a number of bytes, 1 or more")


def test_an_object_that_is_not_as_far() -> None:
    found = explained(RuntimeError, lambda: sl.Server(sl.Echo()).local_addr)
    assert (found.cause, found.next_step) == (Cause.NOT_NOW, "Use start() first")


def test_what_the_line_shows_is_no_news() -> None:
    for kind, call in (
        (ValueError, lambda: sl.connect("a:80:80", 80)),
        (OverflowError, lambda: sl.listen(port=70000)),
        (OverflowError, lambda: sl.connect("127.0.0.1", 6666, source=("127.0.0.1", 70000))),
    ):
        assert explained(kind, call).evidence == ()


def test_the_type_is_news_where_the_message_is_about_it() -> None:
    assert "'6666' is of the type str" in seen(explained(TypeError, lambda: connect("127.0.0.1", "6666")))


def test_a_client_whose_source_is_not_here(listener: sl.Listener) -> None:
    found = explained(OSError, sl.connect, listener.local_addr, source=("192.0.2.7", 0))
    assert found.cause is Cause.ADDRESS_NOT_AVAILABLE
    assert "Leave out source=, or give one of this machine's own addresses" in found.next_step
    assert "Listen" not in found.next_step


def test_a_client_whose_source_is_taken(listener: sl.Listener) -> None:
    with sl.listen() as holder:
        found = explained(OSError, sl.connect, listener.local_addr, source=holder.local_addr)
        assert found.cause is Cause.ADDRESS_IN_USE
        assert "Use holder.close() first, or use another source port, or none" in found.next_step


@pytest.mark.parametrize(("host", "said"), [("0.0.0.0", "such as 127.0.0.1"), ("::", "such as ::1")])
def test_nobody_can_connect_to_all_addresses(host: str, said: str) -> None:
    with sl.listen(host) as listener:
        step = explained(TimeoutError, listener.accept, timeout=0.01).next_step
        assert f"to port {listener.local_addr.port} of any address of this machine, {said}" in step


def test_a_standard_socket_waits_longer_by_its_own_means() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        assert "by settimeout()" in explained(TimeoutError, server.accept).next_step


def test_who_finished_inside_a_frame(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"half a li")
    client.close()
    found = explained(sl.IncompleteReadError, server.recv_line)
    assert "the other end is `client`" in seen(found)
    assert "this program has closed it, in " in seen(found)
    assert found.next_step.endswith("or take the rest with recv_all()")


def test_the_separator_that_is_missing_is_the_one_that_was_asked_for(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"GET / HTTP/1.0\r\n")
    client.close()
    found = explained(sl.IncompleteReadError, lambda: server.recv_until(b"\r\n\r\n"))
    assert found.cause is Cause.ENDED_INSIDE
    assert r"lacks the separator b'\r\n\r\n'" in found.next_step


def test_another_separator_came(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"one\rtwo\r")
    client.close()
    assert explained(sl.IncompleteReadError, server.recv_line).cause is Cause.WRONG_FRAMING


def test_asyncio_has_no_recv_all() -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"half a li")
        reader.feed_eof()
        await reader.readuntil()

    with pytest.raises(asyncio.IncompleteReadError) as caught:
        asyncio.run(main())
    found = patiently(caught.value)
    assert found.cause is Cause.ENDED_INSIDE
    assert found.next_step == "The last message lacks its separator: let the peer send it before it closes"


def test_no_name_server_answers() -> None:
    error = socket.gaierror(socket.EAI_AGAIN, 'the name "lecture.example" has no address (x); check its spelling')
    found = patiently(error)
    assert found.cause is Cause.NAME_NOT_FOUND
    assert "no name server has answered" in seen(found)
    assert "has a network" in found.next_step
    assert (
        "Did you mean" in patiently(socket.gaierror(socket.EAI_AGAIN, 'the name "localhots" has no address')).next_step
    )


def test_the_queue_of_a_listener_that_closed(listener: sl.Listener) -> None:
    client = sl.connect(listener.local_addr)
    listener.close()
    found = explained(ConnectionResetError, client.recv, timeout=5)
    assert found.cause is Cause.RESET_NOT_ACCEPTED
    assert found.next_step.startswith("Accept its clients before the listener is closed")
    client.close()


def test_errors_without_a_message() -> None:
    for kind in (TypeError, ValueError, RuntimeError, NotImplementedError):
        error: Any = kind()
        error.from_socklens = True
        assert patiently(error).next_step.strip()
    assert patiently(OSError(errno.EADDRINUSE, "")).next_step
