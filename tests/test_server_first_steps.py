"""The promise: what somebody tries who has read nothing but the README works, or is told in words what to write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from flow import SMALL
from helpers import eventually
from refusals import refused
from serving import DEADLINE, ask, client_of, echo, echo_lines, serving

pytestmark = pytest.mark.usefixtures("no_leaks")
handlers = pytest.mark.parametrize("handler", [echo_lines, sl.LineEcho()], ids=["python", "rust"])


# A client's own end


@handlers
def test_a_client_is_meant_by_its_own_end_too(handler: Any) -> None:
    with serving(handler) as server, client_of(server) as ana, client_of(server) as bob:
        ask(ana)
        ask(bob)
        assert server.broadcast(b"psst\n", but=ana) == 1
        assert bob.recv_line() == b"psst\n"
        assert server.broadcast(b"psst\n", but=2) == 1
        assert ana.recv_line() == b"psst\n", "the first broadcast did not come here"
        assert server.kick(bob).peer_addr == bob.local_addr
        assert bob.recv() == b""
        eventually(lambda: len(server.clients) == 1)
        assert server.broadcast(b"psst\n", but=bob) == 1, "who has left is nobody"
        assert server.kick(1).peer_addr == ana.local_addr


@handlers
def test_a_connection_of_somebody_else_is_refused(handler: Any, pair: tuple[sl.Connection, sl.Connection]) -> None:
    with serving(handler) as server:
        for conn in pair:
            refused(ValueError, ["neither end of a client of this server"], server.kick, conn)
            refused(ValueError, ["neither end of a client of this server"], server.broadcast, b"", but=conn)


def test_a_reader_finds_how_a_client_gets_its_name_and_is_found_by_it() -> None:
    told = sl.Server.clients.__doc__ or ""
    assert 'server.clients[conn].name = "ana"' in told
    with sl.Server(sl.LineEcho()) as server, client_of(server) as conn:
        ask(conn)
        assert server.clients[conn].name is None, "nobody has a name by itself"
        server.clients[conn].name = "ana"
        assert server.clients["ana"].peer_addr == conn.local_addr
        assert server.clients[server.clients["ana"].conn].name == "ana", "by either end"


# What prints


def fail(conn: sl.Connection) -> None:
    raise ValueError(conn.recv_line().decode())


def test_errors_print_a_line_each() -> None:
    with sl.Server(fail) as server:
        assert str(server.errors) == str(server.dropped) == "[]"
        for number in (1, 2):
            with client_of(server) as client:
                client.sendall(b"\x1b[31m %d\n" % number)
                assert client.recv() == b""
        eventually(lambda: len(server.errors) == 2)
        one, two = str(server.errors).splitlines()
        where = re.escape(f" ({__file__}, line {fail.__code__.co_firstlineno + 1})")
        assert re.fullmatch(r"\d\d:\d\d:\d\d 127\.0\.0\.1:\d+: ValueError: \\x1b\[31m 1\\n" + where, one)
        assert r" 2\n (" in two
        assert repr(server).endswith(", 0 clients, 2 errors, see .errors>")


@handlers
def test_dropped_clients_print_a_line_each(handler: Any) -> None:
    server = sl.Server(handler).start()
    with client_of(server) as ana, client_of(server) as bob:
        ask(ana)
        ask(bob)
        server.clients[0].name = "ana"
        server.kick("ana")
        line = rf"\d\d:\d\d:\d\d {ana.local_addr} \('ana'\): kicked(, \d+ B unsent)?"
        assert re.fullmatch(line, str(server.dropped))
        eventually(lambda: len(server.clients) == 1)
        stopped = server.stop(0)
        assert re.fullmatch(rf"\d\d:\d\d:\d\d {bob.local_addr}: stopped(, \d+ B unsent)?", str(stopped))
        assert repr(server).endswith("stopped after 2 clients, 2 dropped, see .dropped>")
        assert str(server.stop()) == "[]"


def test_the_roster_shows_what_waits_for_who_does_not_read() -> None:
    with serving(echo) as server, client_of(server, recv_buffer=SMALL) as client:
        (served,) = eventually(lambda: server.clients)
        sent = 0
        while not len(served.conn.output_buffer):
            sent += served.conn.send(bytes(1 << 16))
        waiting = f"{len(served.conn.output_buffer):,} B"
        eventually(lambda: repr(server.clients).splitlines()[1].endswith(f"  {len(served.conn.output_buffer):,} B"))
        assert waiting != "0 B"
        client.recv_exactly(sent)
        eventually(lambda: repr(server.clients).splitlines()[1].endswith("  0 B"))


def test_help_tells_of_handlers_in_rust() -> None:
    assert "it sent a line longer than 65536 bytes" in " ".join((sl.Dropped.__doc__ or "").split())
    assert "in the middle of a line is simply gone" in " ".join((sl.Server.__doc__ or "").split())


# What cannot work


async def answer_later(conn: sl.Connection, message: bytes) -> None:
    """Never run."""


@pytest.mark.skipif(not hasattr(sl.OnMessage, "callback"), reason="this build's OnMessage does not tell its callback")
@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (lambda message: None, ["two arguments", "def answer(conn, message)", "<lambda>(message)"]),
        (bytes.upper, ["two arguments", "bytes.upper is a method", "lambda conn, message: message.upper()"]),
        (answer_later, ["async def", "def answer_later(conn, message)"]),
    ],
)
def test_a_callback_that_cannot_be_called_is_told_before_there_is_a_client(callback: Any, words: list[str]) -> None:
    refused(TypeError, ["OnMessage", *words], sl.Server, sl.OnMessage(callback))


@pytest.mark.skipif(not hasattr(sl.OnMessage, "callback"), reason="this build's OnMessage does not tell its callback")
def test_a_server_names_the_callback() -> None:
    def shout(conn: sl.Connection, message: bytes) -> bytes:
        return message.upper()

    assert repr(sl.Server(sl.OnMessage(shout))).startswith("<Server OnMessage(shout) on ")


def greeting(conn: sl.Connection) -> str:
    return "hello\n"


async def greeting_later(conn: sl.Connection) -> bytes:
    return b"hello\n"


@pytest.mark.parametrize(
    ("handler", "words"),
    [(greeting, ["returned str", "conn.sendall(….encode())"]), (greeting_later, ["returned bytes", "conn.sendall(…)"])],
)
def test_an_answer_that_is_returned_is_not_sent(handler: Callable[[sl.Connection], object], words: list[str]) -> None:
    with sl.Server(handler) as server, client_of(server) as client:
        assert client.recv() == b""
        (error,) = eventually(lambda: server.errors)
        assert type(error.exception) is TypeError
        for word in [*words, "is not sent"]:
            assert word in str(error)


def test_to_return_the_end_of_the_stream_is_no_mistake() -> None:
    with serving(lambda conn: conn.recv()) as server, client_of(server) as client:
        client.shutdown("send")
        assert client.recv() == b""


@pytest.mark.parametrize("timeout", ["x", None, True])
def test_stop_takes_seconds(timeout: Any) -> None:
    with serving() as server:
        refused(TypeError, ["a number of seconds", repr(timeout)], server.stop, timeout)


# A traceback


def test_an_async_handlers_traceback_is_of_one_error() -> None:
    async def by_lines(conn: sl.Connection) -> None:
        async for line in conn.aio.lines():
            await conn.aio.sendall(line)

    async def by_calls(conn: sl.Connection) -> None:
        while line := await conn.aio.recv_line():
            await conn.aio.sendall(line)

    for handler in (by_lines, by_calls):
        with sl.Server(handler) as server, client_of(server) as client:
            ask(client)
            client.abort()
            (error,) = eventually(lambda: server.errors, what="an error")
            assert isinstance(error.exception, ConnectionResetError)
            assert "BlockingIOError" not in error.traceback
            assert "During handling" not in error.traceback


def test_awaited_lines_time_out_with_one_error(pair: tuple[sl.Connection, sl.Connection]) -> None:
    async def wait() -> None:
        async for _ in pair[0].aio.lines(timeout=0.01):
            pass

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(asyncio.wait_for(wait(), DEADLINE))
    assert caught.value.__context__ is None
