"""The promise: a story shows an awaited call as one call, from its first try to its end, as it shows one that blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import socklens as sl
from awaiting import asleep
from flow import SMALL, ends, stream
from socklens import Connection, Event, Story

Pair = tuple[Connection, Connection]
Run = Callable[[Coroutine[Any, Any, Any]], Any]

# Each call that reads, and what the peer has to send for it.
READS: dict[str, tuple[Callable[[Connection], Any], bytes]] = {
    "recv": (lambda conn: conn.aio.recv(), b"ping"),
    "peek": (lambda conn: conn.aio.peek(), b"ping"),
    "recv_exactly": (lambda conn: conn.aio.recv_exactly(4), b"ping"),
    "recv_line": (lambda conn: conn.aio.recv_line(), b"ping\n"),
    "recv_frame": (lambda conn: conn.aio.recv_frame(prefix=1), b"\x04ping"),
    "lines": (lambda conn: anext(conn.aio.lines()), b"ping\n"),
}


def the_one(story: Story, call: str, of: Connection) -> Event:
    found = [event for event in story.events if event.call == call and event.local == of.local_addr]
    assert len(found) == 1, found
    return found[0]


def begin(event: Event) -> float:
    assert event.began is not None
    return event.began


@pytest.mark.parametrize("name", READS)
def test_a_read_begins_with_its_first_try(name: str, pair: Pair, run: Run) -> None:
    client, server = pair
    read, data = READS[name]

    async def main() -> Any:
        task = asyncio.ensure_future(read(server))
        await asleep(task)
        client.send(data[:2])
        client.send(data[2:])
        return await task

    with sl.record() as story:
        assert b"pi" in run(main())
    (event,) = [event for event in story.events if event.local == server.local_addr]
    first = min(begin(event) for event in story.events if event.call == "send")
    assert begin(event) < first < event.ended
    assert event.error is None
    marks = [mark for mark in story._layout().marks if event.number in mark.numbers]
    assert marks[0].top < marks[0].row, "waiting is length"


def test_a_sendall_in_steps_is_one_call(run: Run) -> None:
    size = 600_000
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server), sl.record() as story:

        async def main() -> None:
            task = asyncio.ensure_future(client.aio.sendall(stream(0, size)))
            await asleep(task)
            assert await server.aio.recv_exactly(size) == stream(0, size)
            await task

        run(main())
        event = the_one(story, "sendall", client)
        assert (event.direction, event.offset, event.count, event.head) == ("out", 0, size, stream(0, 32))
        assert [row.count for row in story.ledger()] == [size]


def test_a_cancelled_call_is_shown_as_such(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        task = asyncio.ensure_future(server.aio.recv())
        await asleep(task)
        client.shutdown("recv")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        client.send(b"later")
        assert await server.aio.recv() == b"later"

    with sl.record() as story:
        run(main())
    cancelled, read = [event for event in story.events if event.call == "recv"]
    assert (cancelled.error, cancelled.count) == ("CancelledError", None)
    assert "cancelled" in (cancelled.message or "")
    between = next(event for event in story.events if event.call == "shutdown")
    assert begin(cancelled) < begin(between) < cancelled.ended < begin(read)
    assert "CancelledError" in story.to_svg()


def test_a_cancelled_sendall_has_the_bytes_that_had_gone(run: Run) -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, _server), sl.record() as story:

        async def main() -> None:
            task = asyncio.ensure_future(client.aio.sendall(stream(0, 600_000)))
            await asleep(task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        event = the_one(story, "sendall", client)
        assert (event.error, event.count) == ("CancelledError", client.totals.sent)
        assert client.totals.sent > 0


def test_a_timeout_and_a_close_end_it_as_they_end_others(pair: Pair, run: Run) -> None:
    client, server = pair

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await server.aio.recv(timeout=0.05)
        task = asyncio.ensure_future(client.aio.recv_line())
        await asleep(task)
        client.close()
        with pytest.raises(sl.ClosedError):
            await task

    with sl.record() as story:
        run(main())
    late, ended = the_one(story, "recv", server), the_one(story, "recv_line", client)
    assert (late.error, ended.error) == ("TimeoutError", "ClosedError")
    assert (late.seconds or 0) > 0.04  # uvloop counts whole milliseconds
    assert begin(ended) < begin(the_one(story, "close", client)) < ended.ended


def test_an_accept_waits_for_its_client(listener: sl.Listener, run: Run) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(listener.aio.accept())
        await asleep(task)
        with await sl.aio.connect(listener.local_addr), await task:
            pass

    with sl.record() as story:
        run(main())
    (accept,) = [event for event in story.events if event.call == "accept"]
    (connect,) = [event for event in story.events if event.call == "connect"]
    assert begin(accept) < begin(connect) < accept.ended


def test_tasks_that_wait_at_once_keep_to_their_own_begin(run: Run) -> None:
    with ends() as (one, other), ends() as (two, third), sl.record() as story:

        async def main() -> None:
            first = asyncio.ensure_future(other.aio.recv())
            await asleep(first)
            one.send(b"")  # a call between the two
            second = asyncio.ensure_future(third.aio.recv())
            await asleep(first, second)
            two.send(b"b")
            assert await second == b"b"
            one.send(b"a")
            assert await first == b"a"

        run(main())
        early, late = the_one(story, "recv", other), the_one(story, "recv", third)
        assert begin(early) < begin(late) < late.ended < early.ended


@pytest.mark.parametrize("name", READS)
def test_a_read_that_waited_before_the_recording_has_no_begin(name: str, pair: Pair, run: Run) -> None:
    client, server = pair
    read, data = READS[name]

    async def main() -> Story:
        task = asyncio.ensure_future(read(server))
        await asleep(task)
        with sl.record() as story:
            client.send(data)
            assert b"pi" in await task
        return story

    story = run(main())
    send, event = story.events
    assert (send.call, event.began, event.seconds) == ("send", None, None)
    assert (event.call, event.count, event.error) == (name, None if name == "peek" else len(data), None)
    assert "[began before]" in str(story)


def test_a_sendall_that_waited_before_keeps_the_bytes_of_all_its_tries(run: Run) -> None:
    size = 600_000
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):

        async def main() -> Story:
            task = asyncio.ensure_future(client.aio.sendall(stream(0, size)))
            await asleep(task)
            before = client.totals.sent
            with sl.record() as story:
                assert await server.aio.recv_exactly(size) == stream(0, size)
                await task
            event = the_one(story, "sendall", client)
            assert (event.began, event.offset, event.count) == (None, before, size - before)
            return story

        read = the_one(run(main()), "recv_exactly", server)
        assert read.began is not None, "it began in the recording's own time"


def test_an_accept_and_a_connect_that_waited_before(listener: sl.Listener, run: Run) -> None:
    async def main() -> Story:
        task = asyncio.ensure_future(listener.aio.accept())
        await asleep(task)
        with sl.record() as story, await sl.aio.connect(listener.local_addr), await task:
            pass
        return story

    story = run(main())
    began = {event.call: event.began for event in story.events}
    assert began["accept"] is None
    assert began["connect"] is not None


@pytest.mark.parametrize("name", READS)
def test_one_that_is_cancelled_says_which_call_it_was(name: str, pair: Pair, run: Run) -> None:
    _client, server = pair
    read, _data = READS[name]

    async def main() -> Story:
        task = asyncio.ensure_future(read(server))
        await asleep(task)
        with sl.record() as story:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return story

    (event,) = run(main()).events
    assert (event.call, event.began, event.error) == (name, None, "CancelledError")
    assert (event.local, event.peer) == (server.local_addr, server.peer_addr)


def test_every_call_that_waits_has_its_name_when_it_is_cancelled(listener: sl.Listener, run: Run) -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, _server):
        much = bytes(600_000)

        async def main() -> Story:
            calls = (client.aio.sendall(much), client.aio.send_frame(much), listener.aio.accept())
            tasks = [asyncio.ensure_future(call) for call in calls]
            await asleep(*tasks)
            with sl.record() as story:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            return story

        assert {event.call for event in run(main()).events} == {"sendall", "send_frame", "accept"}


def test_a_task_that_times_out_in_a_recording_that_began_later(pair: Pair, run: Run) -> None:
    _client, server = pair

    async def main() -> Story:
        task = asyncio.ensure_future(server.aio.recv(timeout=0.2))
        await asleep(task)
        with sl.record() as story, pytest.raises(TimeoutError):
            await task
        return story

    (event,) = run(main()).events
    assert (event.call, event.began, event.error) == ("recv", None, "TimeoutError")
