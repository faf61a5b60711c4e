"""The promise: messages that tasks and threads send on one connection go out whole, a peer that does not read holds the sender, and who is
cut short learns how much had gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl

Pair = tuple[sl.Connection, sl.Connection]
Run = Callable[..., Any]
Threads = Callable[..., Future[Any]]

# More than the kernel's buffers of both ends take.
LARGE = 16 << 20


async def stuck(conn: sl.Connection, *sending: asyncio.Task[Any]) -> None:
    """Returns when the kernel takes no more."""
    sent = -1
    while sent != conn.totals.sent:
        sent = conn.totals.sent
        for _ in range(5):
            await asyncio.sleep(0.001)
    assert not any(task.done() for task in sending)


async def drain(conn: sl.Connection, total: int) -> None:
    while total:
        total -= len(await conn.aio.recv(1 << 20))


def test_frames_of_tasks_and_threads_never_mix(pair: Pair, run: Run, in_thread: Threads) -> None:
    client, server = pair
    count, size = 4, 1 << 20

    def message(sender: int, number: int) -> bytes:
        return bytes([sender, number]) * (size // 2)

    async def send(sender: int) -> None:
        for number in range(count):
            await client.aio.send_frame(message(sender, number))

    def send_in_thread(sender: int) -> None:
        for number in range(count):
            client.send_frame(message(sender, number))

    async def main() -> list[bytes]:
        senders = [asyncio.create_task(send(sender)) for sender in range(3)]
        threads = [in_thread(send_in_thread, sender) for sender in (3, 4)]
        threads.append(in_thread(asyncio.run, send(5)))
        got = [await server.aio.recv_frame() for _ in range(6 * count)]
        await asyncio.gather(*senders, *map(asyncio.wrap_future, threads))
        return got

    got = run(main())
    for sender in range(6):
        mine = [frame for frame in got if frame[0] == sender]
        assert mine == [message(sender, number) for number in range(count)]


def test_others_wait_until_a_message_is_whole(pair: Pair, run: Run, in_thread: Threads) -> None:
    client, server = pair

    async def main() -> None:
        large = asyncio.create_task(client.aio.sendall(bytes(LARGE)))
        await stuck(client, large)
        small = [asyncio.create_task(client.aio.send(b"x")), asyncio.create_task(client.aio.sendall(b"x"))]
        thread = in_thread(client.sendall, b"x")
        await stuck(client, large, *small)
        assert not thread.done()
        with pytest.raises(BlockingIOError):
            client.send(b"y", timeout=0)
        with pytest.raises(TimeoutError, match="the send buffer was full"):
            await client.aio.send(b"y", timeout=0.01)
        assert await server.aio.recv_exactly(LARGE) == bytes(LARGE)
        await asyncio.gather(large, *small, asyncio.wrap_future(thread))
        assert await server.aio.recv_exactly(3) == b"xxx"

    run(main())


def test_a_call_without_aio_in_the_loops_own_thread_says_that_it_would_wait_for_ever(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        large = asyncio.create_task(client.aio.sendall(bytes(LARGE)))
        await stuck(client, large)
        with pytest.raises(RuntimeError, match=r"await conn\.aio\.send_frame\(\.\.\.\) here too"):
            client.send_frame(b"x")
        await drain(server, LARGE)
        await large
        client.send_frame(b"x")
        assert await server.aio.recv_frame() == b"x"

    run(main())


def test_a_cancelled_send_says_how_much_had_gone_and_lets_others_send(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        large = asyncio.create_task(client.aio.sendall(bytes(LARGE)))
        await stuck(client, large)
        waiting = asyncio.create_task(client.aio.sendall(b"next"))
        await asyncio.sleep(0)
        large.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await large
        (note,) = caught.value.__notes__
        told = re.search(r"sendall on .* was cancelled; (\d+) bytes had been handed to the kernel", note)
        assert told is not None
        sent = int(told[1])
        assert 0 < sent == client.totals.sent < LARGE
        await drain(server, sent)
        await waiting
        assert await server.aio.recv() == b"next"

    run(main())


def test_who_is_cancelled_before_its_turn_has_sent_nothing(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        large = asyncio.create_task(client.aio.sendall(bytes(LARGE)))
        await stuck(client, large)
        waiting = asyncio.create_task(client.aio.send_frame(b"never"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
        assert "; 0 bytes had been handed to the kernel" in caught.value.__notes__[0]
        assert not large.done()
        await drain(server, LARGE)
        await large
        client.shutdown("send")
        assert await server.aio.recv() == b""

    run(main())


@pytest.mark.parametrize("call", ["sendall", "send_frame"])
def test_a_timeout_says_how_much_had_gone(pair: Pair, run: Run, call: str) -> None:
    client, server = pair

    async def main() -> None:
        with pytest.raises(
            TimeoutError, match=rf"{call} on .* timed out after 0.05 s: the send buffer was full"
        ) as caught:
            await getattr(client.aio, call)(bytes(LARGE), timeout=0.05)
        sent: int = caught.value.sent  # type: ignore[attr-defined]
        assert 0 < sent == client.totals.sent
        assert f"; {sent} of {LARGE + 4 * (call == 'send_frame')} bytes had been handed" in str(caught.value)
        with pytest.raises(BlockingIOError) as blocked:
            await client.aio.sendall(b"x", timeout=0)
        assert blocked.value.sent == 0  # type: ignore[attr-defined]
        await drain(server, sent)
        await client.aio.sendall(b"on it goes")
        assert await server.aio.recv() == b"on it goes"

    run(main())


def test_a_peer_that_does_not_read_holds_the_sender(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        sending = asyncio.create_task(client.aio.sendall(bytes(LARGE)))
        await stuck(client, sending)
        before = client.totals.sent
        await drain(server, before)
        await stuck(client)
        assert client.totals.sent > before
        await drain(server, LARGE - before)
        await sending

    run(main())


def test_a_reset_in_the_middle_says_how_much_had_gone(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        sending = asyncio.create_task(client.aio.sendall(bytes(LARGE)))
        await stuck(client, sending)
        server.abort()
        with pytest.raises(ConnectionResetError) as caught:
            await sending
        assert 0 < caught.value.sent == client.totals.sent  # type: ignore[attr-defined]
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await client.aio.send(b"x")

    run(main())


def test_a_bytearray_cannot_become_shorter_on_its_way(pair: Pair, run: Run) -> None:
    client, server = pair
    data = bytearray(LARGE)

    async def main() -> None:
        sending = asyncio.create_task(client.aio.sendall(data))
        await stuck(client, sending)
        with pytest.raises(BufferError):
            data.clear()
        await drain(server, LARGE)
        await sending
        data.clear()

    run(main())


@pytest.mark.parametrize("data", [b"", bytearray(b"ab"), memoryview(b"abc")[1:], memoryview(b"abcdef").cast("H")])
def test_anything_with_a_buffer_can_be_sent(pair: Pair, run: Run, data: Any) -> None:
    client, server = pair
    sent = bytes(data)

    async def main() -> None:
        await client.aio.sendall(data)
        await client.aio.send_frame(data)
        assert await client.aio.send(b".") == 1
        assert await server.aio.recv_exactly(len(sent)) == sent
        assert await server.aio.recv_frame() == sent

    run(main())
