"""The promise: tasks of any event loop, one after the other or at the same time, wait for the same connections, and a loop that ends leaves
nothing behind; where there is no loop that can, it says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import socklens as sl
from awaiting import asleep
from helpers import descriptors

Pair = tuple[sl.Connection, sl.Connection]
Run = Callable[..., Any]
Threads = Callable[..., Future[Any]]


def test_reading_and_writing_wait_side_by_side(pair: Pair, run: Run) -> None:
    client, server = pair
    size = 32 << 20

    async def main() -> None:
        async def chatter() -> None:
            for _ in range(200):
                await client.aio.send(b"x")
                await asyncio.sleep(0)

        sending = asyncio.create_task(server.aio.sendall(bytes(size)))
        reading = asyncio.create_task(server.aio.recv_exactly(200))
        await asleep(sending, reading)
        await chatter()
        assert await reading == b"x" * 200
        assert not sending.done()
        assert await client.aio.recv_exactly(size) == bytes(size)
        await sending

    run(main())


def test_two_loops_in_two_threads_share_a_connection(pair: Pair, in_thread: Threads) -> None:
    client, server = pair
    count = 2000

    async def read() -> list[bytes]:
        return [await server.aio.recv_line() for _ in range(count)]

    readers = [in_thread(asyncio.run, read()) for _ in range(2)]

    async def write() -> None:
        for number in range(2 * count):
            await client.aio.sendall(b"%d\n" % number)

    asyncio.run(asyncio.wait_for(write(), 30))
    got = sorted(int(line) for reader in readers for line in reader.result(30))
    assert got == list(range(2 * count))


def test_a_connection_goes_from_loop_to_loop(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> bytes:
        waiting = asyncio.create_task(server.aio.recv())
        await asleep(waiting)
        client.send(b"x")
        return await waiting

    assert [run(main()) for _ in range(5)] == [b"x"] * 5


def test_a_loop_leaves_nothing_behind(pair: Pair, run: Run, no_leaks: None) -> None:
    client, server = pair

    async def main() -> None:
        waiting = asyncio.create_task(server.aio.recv())
        await asleep(waiting)
        client.send(b"x")
        await waiting
        # Left waiting when the loop ends.
        asyncio.create_task(server.aio.recv_line()).add_done_callback(lambda task: None)
        await asyncio.sleep(0)

    before = set(descriptors())
    gc.disable()
    try:
        run(main())
        # When the loop is closed, not when its garbage is collected.
        assert set(descriptors()) == before
    finally:
        gc.enable()


def test_waiting_often_in_vain_keeps_nothing(pair: Pair, run: Run) -> None:
    _, server = pair

    class Timeout(float):
        """A number that can be referred to weakly."""

    async def main() -> None:
        kept = []
        for _ in range(100):
            timeout = Timeout(0.0001)
            kept.append(weakref.ref(timeout))
            with contextlib.suppress(TimeoutError):
                await server.aio.recv(timeout=timeout)
            waiting = asyncio.create_task(server.aio.recv_line(timeout=timeout))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        del timeout, waiting
        # asyncio itself leaves cycles when it cancels.
        gc.collect()
        assert [one for one in kept if one() is not None] == []

    run(main())


def test_a_connection_that_was_awaited_is_still_closed_with_its_last_reference(run: Run) -> None:
    async def main() -> None:
        client, server = sl.pair()
        waiting = asyncio.create_task(server.aio.recv())
        await asleep(waiting)
        client.send(b"x")
        assert await waiting == b"x"
        with contextlib.suppress(TimeoutError):
            await server.aio.recv(timeout=0.001)
        del waiting
        gc.disable()
        try:
            # By counting, without the collector: nothing refers back.
            with pytest.warns(ResourceWarning, match="unclosed Connection"):
                del server
            assert await client.aio.recv() == b""
        finally:
            gc.enable()
            client.close()

    run(main())


def test_outside_of_an_event_loop_it_says_what_to_do(pair: Pair) -> None:
    coroutine = pair[1].aio.recv()
    with pytest.raises(RuntimeError, match=r"asyncio\.run\(\.\.\.\); in trio, wait with trio\.lowlevel\.wait_readable"):
        coroutine.send(None)


def test_a_loop_that_watches_no_descriptors_says_what_to_do(pair: Pair) -> None:
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, *_: object) -> None:
            raise NotImplementedError

    async def main() -> None:
        with pytest.raises(NotImplementedError, match=r"\(Proactor\).*asyncio\.to_thread\(conn\.recv\)"):
            await pair[1].aio.recv()

    with asyncio.Runner(loop_factory=Proactor) as runner:
        runner.run(main())


def test_daemon_threads_with_loops_at_the_interpreters_end_do_no_harm() -> None:
    script = """
        import asyncio, threading, socklens as sl
        a, b = sl.pair()
        started = threading.Barrier(4)
        async def chat(conn):
            started.wait()
            while True:
                await conn.aio.sendall(b"x\\n")
                await conn.aio.recv_line()
        async def wait():
            started.wait()
            await a.aio.recv_exactly(1 << 30)
        for main in (chat(a), chat(b), wait()):
            threading.Thread(target=asyncio.run, args=[main], daemon=True).start()
        started.wait()
    """
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_forked_childs_copy_does_not_harm_the_parents(pair: Pair) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    client, server = pair

    async def main() -> None:
        waiting = asyncio.create_task(server.aio.recv())
        await asleep(waiting)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            # No assertion, no pytest: the child must end here.
            try:
                server.close()
                client.close()
            finally:
                os._exit(0)
        assert await asyncio.to_thread(os.waitpid, pid, 0) == (pid, 0)
        assert not waiting.done()
        client.send(b"still here")
        assert await waiting == b"still here"

    asyncio.run(asyncio.wait_for(main(), 30))
