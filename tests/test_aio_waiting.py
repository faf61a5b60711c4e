"""The promise: an awaited call ends by its deadline, by cancellation or by `close()` in any thread, loses no byte, and is woken by whatever
can end its wait, whoever did it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from awaiting import asleep, in_memory
from helpers import eventually

Pair = tuple[sl.Connection, sl.Connection]
Run = Callable[..., Any]
Threads = Callable[..., Future[Any]]


WAITS: dict[str, Callable[[sl.Connection], Any]] = {
    "recv": lambda conn: conn.aio.recv(),
    "recv_exactly": lambda conn: conn.aio.recv_exactly(10),
    "recv_exactly, large": lambda conn: conn.aio.recv_exactly(1 << 20),
    "recv_until": lambda conn: conn.aio.recv_until(b"--"),
    "recv_line": lambda conn: conn.aio.recv_line(),
    "recv_frame": lambda conn: conn.aio.recv_frame(),
    "recv_all": lambda conn: conn.aio.recv_all(),
    "peek": lambda conn: conn.aio.peek(),
    "lines": lambda conn: anext(conn.aio.lines()),
}


@pytest.mark.parametrize("name", WAITS)
def test_cancellation_loses_no_byte(pair: Pair, run: Run, name: str) -> None:
    client, server = pair

    async def main() -> None:
        waiting = asyncio.ensure_future(WAITS[name](server))
        await asyncio.sleep(0)
        partial = name not in {"recv", "peek"}
        if partial:
            client.send(b"abc")
            await in_memory(server, 3)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert bytes(server.input_buffer) == (b"abc" if partial else b"")
        client.send(b"def")
        assert await server.aio.recv_exactly(6 if partial else 3) == (b"abcdef" if partial else b"def")

    run(main())


def test_cancelled_after_it_was_woken_it_takes_nothing(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        waiting = asyncio.create_task(server.aio.recv())
        other = asyncio.create_task(server.aio.recv())
        await asleep(waiting, other)
        # unrecv tells both in one turn of the loop; the cancellation comes before either runs.
        server.unrecv(b"bytes")
        asyncio.get_running_loop().call_soon(waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await other == b"bytes"

    run(main())
    assert client.totals.sent == 0


def test_a_timeout_is_the_same_as_without_aio(pair: Pair, listener: sl.Listener, run: Run) -> None:
    client, server = pair
    client.send(b"ab")
    eventually(lambda: len(server.input_buffer) == 2)
    calls: list[tuple[Callable[[Any], Any], object]] = [
        (lambda target: target.recv_line(timeout=0.01), server),
        (lambda target: target.recv_exactly(5, timeout=0.01), server),
        (lambda target: target.recv_exactly(100_000, timeout=0.01), server),
        (lambda target: target.recv_frame(timeout=0.01), server),
        (lambda target: target.recv_all(timeout=0.01), server),
        (lambda target: target.recv(timeout=0.01), client),
        (lambda target: target.peek(timeout=0.01), client),
        (lambda target: target.accept(timeout=0.01), listener),
        (lambda target: target.recv(timeout=0), client),
        (lambda target: target.accept(timeout=0), listener),
        (lambda target: target.recv_line(timeout=0), server),
    ]
    for call, target in calls:

        async def awaited(call: Any = call, target: Any = target) -> object:
            return await call(target.aio)

        with pytest.raises((TimeoutError, BlockingIOError)) as theirs:
            call(target)
        with pytest.raises((TimeoutError, BlockingIOError)) as ours:
            run(awaited())
        assert type(ours.value) is type(theirs.value)
        assert ours.value.errno == theirs.value.errno
        assert str(ours.value) == str(theirs.value)
    assert server.recv() == b"ab"


def test_the_connections_own_timeout_holds(pair: Pair, run: Run) -> None:
    client, server = pair
    server.timeout = 0.01

    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"after 0.01 s"):
            await server.aio.recv()
        with pytest.raises(TimeoutError, match=r"after 0.01 s"):
            await anext(server.aio.lines())
        waiting = asyncio.create_task(server.aio.recv(timeout=None))
        await asleep(waiting)
        client.send(b"x")
        assert await waiting == b"x"
        server.timeout = 0
        with pytest.raises(BlockingIOError, match="its timeout is 0"):
            await server.aio.recv()

    run(main())


def test_bytes_that_drip_do_not_put_the_deadline_off(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        async def drip() -> None:
            while True:
                await client.aio.send(b"x")
                await asyncio.sleep(0)

        dripping = asyncio.create_task(drip())
        with pytest.raises(TimeoutError, match="a line has not come whole"):
            await server.aio.recv_line(timeout=0.05)
        dripping.cancel()

    run(main())


def test_asyncios_timeout_ends_a_wait(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await server.aio.recv_line()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.aio.recv(), 0.01)
        client.send(b"line\n")
        assert await server.aio.recv_line() == b"line\n"

    run(main())


def test_many_wait_and_each_gets_a_whole_line(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> list[bytes]:
        readers = [asyncio.create_task(server.aio.recv_line()) for _ in range(50)]
        await asleep(*readers)
        # In one piece, and then in two that cut a line.
        await client.aio.sendall(b"".join(b"%d\n" % number for number in range(20)) + b"2")
        done, _ = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
        assert done
        await client.aio.sendall(b"0\n" + b"".join(b"%d\n" % number for number in range(21, 50)))
        return await asyncio.gather(*readers)

    assert sorted(run(main()), key=int) == [b"%d\n" % number for number in range(50)]


def test_who_takes_one_line_of_two_wakes_the_next(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        waiting = asyncio.create_task(server.aio.recv_line())
        await asleep(waiting)
        client.send(b"one\ntwo\n")
        # Both lines go to Rust memory before the loop has looked at the socket again.
        eventually(lambda: server.input_buffer.kernel == 8)
        assert await server.aio.recv_line() == b"one\n"
        assert await waiting == b"two\n"

    run(main())


def test_a_read_without_aio_wakes_for_what_it_leaves(pair: Pair, run: Run, in_thread: Threads) -> None:
    client, server = pair

    async def main(read: Callable[[], Any]) -> None:
        waiting = asyncio.create_task(server.aio.recv())
        await asleep(waiting)
        client.send(b"one\ntwo")
        eventually(lambda: server.input_buffer.kernel == 7)
        answer = read()
        assert (await asyncio.wrap_future(answer) if isinstance(answer, Future) else answer) == b"one\n"
        assert await waiting == b"two"

    run(main(server.recv_line))
    run(main(lambda: in_thread(server.recv_line).result(10)))


def test_a_thread_that_waits_leaves_the_rest_to_a_task(pair: Pair, run: Run, in_thread: Threads) -> None:
    client, server = pair

    async def main() -> None:
        for _ in range(100):
            # The thread has the turn of reading while it sleeps; the task waits for bytes, or for the end of that turn.
            line = in_thread(server.recv_line)
            rest = asyncio.create_task(server.aio.recv_exactly(3))
            await asyncio.sleep(0)
            await client.aio.sendall(b"li")
            await asyncio.sleep(0)
            await client.aio.sendall(b"ne\nabc")
            got = (await rest, await asyncio.wrap_future(line))
            # Who was first is luck; that both get whole frames is not.
            assert got in ((b"abc", b"line\n"), (b"lin", b"e\n"))
            left = len(server.input_buffer)
            assert await server.aio.recv_exactly(left) == b"abc"[:left]

    run(main())


def test_unrecv_wakes(pair: Pair, run: Run, in_thread: Threads) -> None:
    _, server = pair

    async def main() -> None:
        for put_back in (server.unrecv, lambda data: in_thread(server.unrecv, data)):
            waiting = asyncio.create_task(server.aio.recv())
            await asleep(waiting)
            put_back(b"again")
            assert await waiting == b"again"

    run(main())


ENDS: dict[str, Callable[[Any], Any]] = {
    "close": lambda target: target.close(),
    "abort": lambda target: target.abort(),
    "detach": lambda target: os.close(target.detach()),
    "to_socket": lambda target: target.to_socket().close(),
}


@pytest.mark.parametrize("thread", ["the loop's thread", "another thread"])
@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_connection_wakes_everybody(
    pair: Pair, run: Run, in_thread: Threads, how: str, thread: str, no_leaks: None
) -> None:
    _, server = pair

    async def main() -> None:
        waiting = [asyncio.create_task(server.aio.recv()) for _ in range(3)]
        blocked = asyncio.create_task(server.aio.sendall(bytes(64 << 20)))
        await asleep(*waiting, blocked)
        if thread == "another thread":
            await asyncio.wrap_future(in_thread(ENDS[how], server))
        else:
            ENDS[how](server)
        for task in (*waiting, blocked):
            with pytest.raises(sl.ClosedError, match=r"was (closed|aborted|detached) by this program"):
                await task
        assert isinstance(blocked.exception(), sl.ClosedError)
        assert blocked.exception().sent > 0  # type: ignore[union-attr]

    run(main())


@pytest.mark.parametrize("how", ["close", "detach", "to_socket"])
def test_the_end_of_a_listener_wakes_everybody(listener: sl.Listener, run: Run, in_thread: Threads, how: str) -> None:
    async def main() -> None:
        waiting = [asyncio.create_task(listener.aio.accept()) for _ in range(3)]
        await asleep(*waiting)
        await asyncio.wrap_future(in_thread(ENDS[how], listener))
        for task in waiting:
            with pytest.raises(sl.ClosedError):
                await task

    run(main())


def test_a_number_that_is_given_again_belongs_to_its_new_owner(run: Run, in_thread: Threads) -> None:
    """A socket is closed by another thread while tasks wait, and another file has its number before the loop has run."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            client, server = sl.pair()
            ours, theirs = socket.socketpair()
            with client, ours, theirs:
                number = server.fileno()
                waiting = asyncio.create_task(server.aio.recv())
                writing = asyncio.create_task(server.aio.sendall(bytes(16 << 20)))
                await asleep(waiting, writing)
                in_thread(server.close).result(10)
                os.dup2(ours.fileno(), number)
                ready = asyncio.Event()
                loop.add_reader(number, ready.set)
                for task in (waiting, writing):
                    with pytest.raises(sl.ClosedError):
                        await task
                assert not ready.is_set()
                theirs.send(b"x")
                await ready.wait()
                loop.remove_reader(number)
                os.close(number)

    run(main())


def test_another_connection_with_the_same_number_is_served(run: Run, in_thread: Threads) -> None:
    async def main() -> None:
        for _ in range(50):
            (client, server), (near, other) = sl.pair(), sl.pair()
            waiting = asyncio.create_task(server.aio.recv())
            await asleep(waiting)
            number = server.fileno()
            in_thread(server.close).result(10)
            # The same connection behind the number that was given back.
            old = other.detach()
            os.dup2(old, number)
            os.close(old)
            far = sl.Connection.from_socket(socket.socket(fileno=number))
            assert far.fileno() == number
            with client, near, far:
                reading = [asyncio.create_task(end.aio.recv()) for end in (near, far)]
                await asyncio.sleep(0)
                near.send(b"to far")
                far.send(b"to near")
                assert await asyncio.gather(*reading) == [b"to near", b"to far"]
            with pytest.raises(sl.ClosedError):
                await waiting

    run(main())


def test_a_detached_socket_is_not_watched_any_more(run: Run, in_thread: Threads) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        client, server = sl.pair()
        waiting = asyncio.create_task(server.aio.recv())
        await asleep(waiting)
        with client, in_thread(server.to_socket).result(10) as sock:
            sock.setblocking(False)
            client.send(b"for the new owner")
            assert await loop.sock_recv(sock, 100) == b"for the new owner"
            with pytest.raises(sl.ClosedError):
                await waiting

    run(main())


def test_detach_is_refused_and_those_who_wait_go_on(pair: Pair, run: Run, in_thread: Threads) -> None:
    client, server = pair

    async def main() -> None:
        waiting = asyncio.create_task(server.aio.recv_line())
        await asleep(waiting)
        client.send(b"half")
        await in_memory(server, 4)
        with pytest.raises(BufferError):
            in_thread(server.detach).result(10)
        client.send(b" and half\n")
        assert await waiting == b"half and half\n"

    run(main())
