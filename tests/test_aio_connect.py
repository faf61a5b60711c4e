"""The promise: `await sl.aio.connect(…)` makes the attempts of `sl.connect`, fails as it does, holds no other task up, and cancelled leaves
nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from network import free_port, in_private_network, need_ipv6

Run = Callable[..., Any]


@contextlib.contextmanager
def full_listener() -> Iterator[tuple[str, int]]:
    """A listener whose accept queue is full, so that the next client gets no answer to its SYN."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        client.connect(listener.getsockname())
        yield listener.getsockname()


def test_every_way_to_say_where(listener: sl.Listener, run: Run) -> None:
    host, port = listener.local_addr

    async def main() -> None:
        for way in (listener.local_addr, f"{host}:{port}", (host, port)):
            with await sl.aio.connect(way) as client, await listener.aio.accept() as server:
                assert (client.peer_addr, client.local_addr) == (server.local_addr, server.peer_addr)
        for name in ("127.0.0.1", "localhost"):
            with await sl.aio.connect(name, port, timeout=10) as client, await listener.aio.accept() as server:
                assert client.peer_addr == server.local_addr

    run(main())


def test_what_is_asked_for_holds(listener: sl.Listener, run: Run) -> None:
    async def main() -> None:
        source = ("127.0.0.1", free_port())
        with await sl.aio.connect(listener.local_addr, source=source, recv_buffer=20_000, send_buffer=30_000) as client:
            assert client.local_addr == source
            assert client.input_buffer.asked == 20_000
            assert client.output_buffer.asked == 30_000

    run(main())


def test_the_default_timeout_is_the_new_connections_too(listener: sl.Listener, run: Run) -> None:
    async def main() -> None:
        sl.set_default_timeout(7)
        try:
            with await sl.aio.connect(listener.local_addr, timeout=3) as client:
                assert client.timeout == 7
        finally:
            sl.set_default_timeout(None)

    run(main())


def test_ipv6(run: Run) -> None:
    need_ipv6()

    async def main() -> None:
        with sl.listen("::1") as listener, await sl.aio.connect(listener.local_addr) as client:
            assert client.peer_addr == listener.local_addr

    run(main())


@pytest.mark.parametrize(
    "arguments",
    [
        ("127.0.0.1", 0),
        ("127.0.0.1",),
        ("127.0.0.1", 70_000),
        ("", 6666),
        ("8080", 6666),
        (5, None),
        ("127.0.0.1", "6666"),
        ("no\0name", 6666),
        ("nonexistent.invalid", 6666),
        ("127.0.0.1", 6666, "192.0.2.1"),
        ("127.0.0.1", 6666, "::1"),
        ("127.0.0.1", 6666, "nonexistent.invalid"),
    ],
    ids=repr,
)
def test_it_fails_as_without_aio(run: Run, arguments: tuple[Any, ...]) -> None:
    place, source = arguments[:2], next(iter(arguments[2:]), None)

    async def main() -> sl.Connection:
        return await sl.aio.connect(*place, source=source)

    with pytest.raises(Exception) as theirs:  # noqa: PT011
        sl.connect(*place, source=source)
    with pytest.raises(Exception) as ours:  # noqa: PT011
        run(main())
    assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


def test_a_refusal_is_the_same(run: Run) -> None:
    port = free_port()

    async def main(host: str, wait: bool) -> None:
        conn = await sl.aio.connect(host, port, wait=wait)
        with conn:
            await conn.aio.wait_connected()

    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(ConnectionRefusedError) as theirs:
            sl.connect(host, port)
        for wait in (True, False):
            with pytest.raises(ConnectionRefusedError) as ours:
                run(main(host, wait))
            if wait:
                assert str(ours.value) == str(theirs.value)


def test_every_address_of_a_name_is_tried(tmp_path: Path) -> None:
    code = """
    import asyncio

    async def connect(*place, **more):
        conn = await sl.aio.connect(*place, **more)
        with conn:
            return conn.peer_addr

    def both(*place, **more):
        print(outcome(lambda: asyncio.run(connect(*place, **more))))
        print(outcome(lambda: sl.connect(*place, **more).peer_addr))

    both("twice", 7777)
    listener = sl.listen("127.0.0.2", 7777)
    both("twice", 7777)
    both("twice", 7777, source="here")
    """
    hosts = "127.0.0.1 localhost\n127.0.0.1 twice\n127.0.0.2 twice\n127.0.0.5 here\n"
    said = in_private_network(code, tmp_path, hosts=hosts)
    assert said[::2] == said[1::2]
    assert "twice:7777 has 2 addresses; the other outcomes:" in said[0]
    assert said[2] == "Address('127.0.0.2', 7777)"
    assert said[4] == "Address('127.0.0.2', 7777)"


def test_no_answer_times_out_and_holds_nobody_up(run: Run) -> None:
    async def main(place: tuple[str, int]) -> str:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        running = asyncio.create_task(others())
        with pytest.raises(TimeoutError, match="backlog is full") as caught:
            await sl.aio.connect(place, timeout=0.2)
        running.cancel()
        assert turns > 10
        return str(caught.value)

    with full_listener() as place:
        said = run(main(place))
        with pytest.raises(TimeoutError) as theirs:
            sl.connect(place, timeout=0.2)
        assert said == str(theirs.value)
        with pytest.raises(BlockingIOError) as ours:
            run(at_once(place))
        with pytest.raises(BlockingIOError) as theirs_at_once:
            sl.connect(place, timeout=0)
        assert str(ours.value) == str(theirs_at_once.value)


async def at_once(place: tuple[str, int]) -> None:
    await sl.aio.connect(place, timeout=0)


def test_cancelled_it_leaves_nothing(run: Run, no_leaks: None) -> None:
    async def main(place: tuple[str, int]) -> None:
        connecting = asyncio.create_task(sl.aio.connect(place))
        for _ in range(5):
            await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await sl.aio.connect(place)

    with full_listener() as place:
        run(main(place))
        gc.collect()


def test_cancelled_while_the_name_is_looked_up(run: Run, no_leaks: None) -> None:
    async def main() -> None:
        connecting = asyncio.create_task(sl.aio.connect("localhost", free_port()))
        # It has asked the resolver, whose thread may or may not have answered.
        await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises((asyncio.CancelledError, ConnectionRefusedError)):
            await connecting

    for _ in range(20):
        run(main())


def test_many_at_once(run: Run, no_leaks: None) -> None:
    async def main() -> None:
        with sl.listen(backlog=1024) as listener:

            async def serve() -> None:
                async for conn in listener.aio:
                    with conn:
                        await conn.aio.sendall(await conn.aio.recv_line())

            async def ask(number: int) -> bytes:
                with await sl.aio.connect("localhost" if number % 2 else "127.0.0.1", listener.local_addr.port) as conn:
                    await conn.aio.sendall(b"%d\n" % number)
                    return await conn.aio.recv_all()

            serving = [asyncio.create_task(serve()) for _ in range(4)]
            answers = await asyncio.gather(*(ask(number) for number in range(200)))
            assert answers == [b"%d\n" % number for number in range(200)]
            listener.close()
            await asyncio.gather(*serving)

    run(main())


def test_without_waiting_the_first_call_waits(run: Run) -> None:
    async def main(place: tuple[str, int]) -> None:
        with await sl.aio.connect(place, wait=False) as conn:
            assert conn.state == sl.TcpState.SYN_SENT
            with pytest.raises(TimeoutError, match="the attempt goes on"):
                await conn.aio.wait_connected(timeout=0.01)
            waiting = asyncio.create_task(conn.aio.wait_connected())
            await asyncio.sleep(0)
            conn.close()
            with pytest.raises(sl.ClosedError):
                await waiting

    with full_listener() as place:
        run(main(place))
