"""The promise: an awaited call ends by its deadline, by cancellation or by `close()` in any thread, loses no byte, and is woken by whatever
can end its wait, whoever did it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
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
from helpers import descriptors, eventually
from socklens.aio._waiting import _hubs

Pair = tuple[sl.Connection, sl.Connection]
Run = Callable[..., Any]
Threads = Callable[..., Future[Any]]


async def asleep(*tasks: asyncio.Task[Any]) -> None:
    """Returns when so many calls have tried and wait for the loop to tell them."""

    def waiting() -> int:
        return sum(len(futures) for hub in _hubs.values() for _, futures in hub._waiting.values())

    while waiting() < len(tasks):
        assert not any(task.done() for task in tasks)
        await asyncio.sleep(0)


async def in_memory(conn: sl.Connection, count: int) -> None:
    """Returns when a call that waits for more has taken so many bytes in."""
    while conn.input_buffer.rust != count:
        await asyncio.sleep(0)


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
