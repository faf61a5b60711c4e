"""What the tests of waiting in an event loop share: to know that a task sleeps, without a sleep of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import socklens as sl
from socklens.aio._waiting import _hubs


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
