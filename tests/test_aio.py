"""The promise: every call that waits has an awaitable twin with the same arguments, answers and exceptions, on the same object."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from helpers import eventually

Pair = tuple[sl.Connection, sl.Connection]
Run = Callable[..., Any]

TWINS = [
    *(
        (sl.Connection, sl.aio.AsyncConnection, name)
        for name in "recv recv_exactly recv_until recv_line lines recv_frame recv_all peek send sendall send_frame wait_connected".split()
    ),
    (sl.Listener, sl.aio.AsyncListener, "accept"),
]


@pytest.mark.parametrize(("kind", "twin", "name"), TWINS)
def test_a_twin_has_the_same_arguments_and_explains_itself(kind: type, twin: type, name: str) -> None:
    ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (twin, kind))
    assert list(ours) == list(theirs)
    for parameter in list(theirs)[1:]:
        assert ours[parameter].kind == theirs[parameter].kind
        assert ours[parameter].default == theirs[parameter].default
    assert len(getattr(twin, name).__doc__) > 40


def test_connect_has_the_same_arguments() -> None:
    ours, theirs = (inspect.signature(one).parameters for one in (sl.aio.connect, sl.connect))
    assert [(one.name, one.kind, one.default) for one in ours.values()] == [
        (one.name, one.kind, one.default) for one in theirs.values()
    ]
    for name in ours:
        assert name in (sl.aio.connect.__doc__ or "")


def test_asyncio_comes_only_when_it_is_asked_for() -> None:
    script = """
        import sys, socklens as sl
        a, b = sl.pair()
        assert "asyncio" not in sys.modules
        assert sl.Connection.aio.__doc__ and sl.Listener.aio.__doc__
        assert "asyncio" not in sys.modules
        a.aio
        assert "asyncio" in sys.modules
        assert sl.Connection.aio.__doc__ and type(b.aio) is type(a.aio) is sl.aio.AsyncConnection
        a.close(), b.close()
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_how_they_print(pair: Pair, listener: sl.Listener) -> None:
    assert repr(pair[0].aio) == f"<aio of {pair[0]!r}>"
    assert repr(listener.aio) == f"<aio of {listener!r}>"


def test_every_call_waits_for_its_bytes(pair: Pair, run: Run) -> None:
    client, server = pair
    calls: list[tuple[Callable[[], Any], bytes, object]] = [
        (lambda: server.aio.recv(3), b"abc", b"abc"),
        (lambda: server.aio.recv_exactly(3), b"abc", b"abc"),
        (lambda: server.aio.recv_exactly(200_000), bytes(200_000), bytes(200_000)),
        (lambda: server.aio.recv_until(b"--"), b"ab--", b"ab--"),
        (lambda: server.aio.recv_until(b"--", keep_end=False), b"ab--", b"ab"),
        (lambda: server.aio.recv_line(), b"line\n", b"line\n"),
        (lambda: server.aio.recv_line(keep_end=False), b"line\r\n", b"line"),
        (lambda: server.aio.recv_frame(), b"\0\0\0\3abc", b"abc"),
        (lambda: server.aio.recv_frame(2, byteorder="little"), b"\3\0abc", b"abc"),
        (lambda: server.aio.recv_all(), b"the rest", b"the rest"),
    ]

    async def main() -> None:
        for call, sent, answer in calls:
            waiting = asyncio.create_task(call())
            # It has tried, and waits.
            await asyncio.sleep(0)
            assert not waiting.done()
            await client.aio.sendall(sent)
            if answer == b"the rest":
                client.shutdown("send")
            assert await waiting == answer
            # And with the bytes there already, which takes no wait.
            if answer != b"the rest":
                client.sendall(sent)
                assert await asyncio.wait_for(call(), 10) == answer
        assert await server.aio.recv() == b""
        assert [line async for line in server.aio.lines()] == []

    run(main())
    assert len(server.input_buffer) == 0


def test_peek_leaves_what_recv_takes(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        peeking = asyncio.create_task(server.aio.peek())
        await asyncio.sleep(0)
        client.send(b"seen")
        assert await peeking == b"seen"
        assert await server.aio.recv(2) == b"se"
        assert server.recv() == b"en"

    run(main())


def test_lines_come_one_after_the_other_and_then_the_end(pair: Pair, run: Run) -> None:
    client, server = pair
    sent = [b"%d\n" % number for number in range(5000)]

    async def main() -> list[bytes]:
        sending = asyncio.create_task(client.aio.sendall(b"".join(sent) + b"late\n"))
        got = []
        async for line in server.aio.lines():
            got.append(line)
            if line == b"late\n":
                client.shutdown("send")
        await sending
        return got

    assert run(main()) == [*sent, b"late\n"]


def test_lines_that_are_here_do_not_keep_the_loop_for_themselves(pair: Pair, run: Run) -> None:
    client, server = pair
    server.unrecv(b"\n" * 100_000)

    async def main() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        running = asyncio.create_task(other())
        count = 0
        async for _ in server.aio.lines():
            count += 1
            if count == 50_000:
                break
        for _ in range(10_000):
            assert await server.aio.recv_line() == b"\n"
        running.cancel()
        return turns

    assert run(main()) > 100
    assert client.totals.sent == 0


def test_leaving_a_loop_over_lines_loses_none(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        client.sendall(b"one\ntwo\nthree\n")
        async for line in server.aio.lines(keep_end=False):
            assert line == b"one"
            break
        assert await server.aio.recv_line() == b"two\n"
        assert server.recv_line() == b"three\n"

    run(main())


def test_what_one_kind_leaves_the_other_sees(pair: Pair, run: Run) -> None:
    client, server = pair
    client.sendall(b"a\nb\nc\nd")

    async def main() -> None:
        assert server.recv_line(timeout=5) == b"a\n"
        assert await server.aio.recv_line() == b"b\n"
        assert server.input_buffer.rust == 3
        assert next(server.lines()) == b"c\n"
        assert await server.aio.recv() == b"d"

    run(main())


ERRORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "too long": (lambda conn: conn.recv_line(max_bytes=2), "FrameTooLongError"),
    "no separator": (lambda conn: conn.recv_until(b""), "ValueError"),
    "no size": (lambda conn: conn.recv(0), "ValueError"),
    "negative size": (lambda conn: conn.recv_exactly(-1), "ValueError"),
    "no number": (lambda conn: conn.recv("5"), "TypeError"),
    "timeout, text": (lambda conn: conn.recv(timeout="soon"), "TypeError"),
    "timeout, negative": (lambda conn: conn.recv(timeout=-1), "ValueError"),
    "text": (lambda conn: conn.sendall("text"), "TypeError"),
    "text, send": (lambda conn: conn.send("text"), "TypeError"),
    "prefix": (lambda conn: conn.send_frame(b"", 3), "ValueError"),
    "prefix, recv": (lambda conn: conn.recv_frame(3), "ValueError"),
    "byteorder": (lambda conn: conn.send_frame(b"", byteorder="middle"), "ValueError"),
    "frame too long": (lambda conn: conn.send_frame(bytes(300), 1), "FrameTooLongError"),
    "cut off": (lambda conn: conn.recv_exactly(10), "IncompleteReadError"),
    "cut off, lines": (lambda conn: conn.recv_line(), "IncompleteReadError"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_exceptions_have_the_same_class_and_words(pair: Pair, run: Run, name: str) -> None:
    client, server = pair
    call, kind = ERRORS[name]
    client.send(b"abc")
    client.shutdown("send")
    eventually(lambda: server.state == sl.TcpState.CLOSE_WAIT)

    def told(error: BaseException) -> tuple[object, ...]:
        return type(error), str(error), getattr(error, "sent", None), getattr(error, "partial", None)

    async def main() -> BaseException:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await call(server.aio)
        return caught.value

    with pytest.raises(Exception) as caught:  # noqa: PT011
        call(server)
    assert type(caught.value).__name__ == kind
    assert told(run(main())) == told(caught.value)
    assert server.recv_all() == b"abc"


def test_a_reset_is_no_end_of_stream(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        reading = asyncio.create_task(server.aio.recv())
        await asyncio.sleep(0)
        client.abort()
        with pytest.raises(ConnectionResetError, match="the peer sent RST"):
            await reading
        with pytest.raises(ConnectionResetError):
            await server.aio.recv_line()

    run(main())


def test_accept_and_the_loop_over_clients(listener: sl.Listener, run: Run) -> None:
    async def serve() -> int:
        served = 0
        async for conn in listener.aio:
            with conn:
                await conn.aio.sendall(b"welcome\n")
                served += 1
        return served

    async def main() -> int:
        serving = asyncio.create_task(serve())
        for _ in range(3):
            with await sl.aio.connect(listener.local_addr) as client:
                assert await client.aio.recv_all() == b"welcome\n"
        listener.close()
        return await serving

    assert run(main()) == 3


def here() -> str:
    return f"test_aio.py, line {sys._getframe(1).f_lineno}"


def test_each_end_names_the_line_that_made_it(listener: sl.Listener, run: Run) -> None:
    async def main() -> None:
        # The line of the call, although it runs in a task of its own later.
        accepting, accepts = asyncio.create_task(listener.aio.accept()), here()
        connecting, connects = asyncio.create_task(sl.aio.connect(listener.local_addr)), here()
        with await accepting as server, await connecting as client:
            assert server.created_at.endswith(accepts)
            assert client.created_at.endswith(connects)
        with await sl.aio.connect(listener.local_addr) as client:
            connects = here()
            async for server in listener.aio:
                with server:
                    assert int(server.created_at.split()[-1]) == int(connects.split()[-1]) + 1
                    break

    run(main())
