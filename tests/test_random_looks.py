"""The promise: whatever was sent, read, put back and finished, `sl.ports`, `sl.lens`, ss, /proc and psutil tell the same of every
connection, and no byte is missing. The bytes that were sent and taken are counted here once more.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, ends, stream
from helpers import seeded
from oracles import Ends, Row, proc_table, ss_table
from socklens import TcpState
from socklens.display.flow import Flow, Place

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the witnesses are Linux's")

STEPS = 25
LOOKS = 6
# In these states a FIN of this side is not acknowledged yet, or one of the other side has come: sequence numbers count it.
FIN_OUT = [state.value for state in (TcpState.FIN_WAIT_1, TcpState.CLOSING, TcpState.LAST_ACK)]
FIN_IN = [state.value for state in (TcpState.CLOSE_WAIT, TcpState.CLOSING, TcpState.LAST_ACK)]


@dataclass
class End:
    """One end, and what its own program has counted."""

    conn: sl.Connection
    sent: int = 0
    taken: int = 0
    finished: bool = False

    @property
    def ends(self) -> Ends:
        return tuple(self.conn.local_addr), tuple(self.conn.peer_addr)


class Workload:
    """Random calls on the two ends of one connection; none waits."""

    def __init__(self, chance: random.Random, client: sl.Connection, server: sl.Connection) -> None:
        self.chance = chance
        self.both = (End(client), End(server))

    @property
    def server_port(self) -> int:
        """By which all rows of this connection are found."""
        return self.both[1].conn.local_addr.port

    def step(self) -> None:
        """One call of one end."""
        end = self.chance.choice(self.both)
        calls = (
            [self.send] * 8 + [self.recv] * 4 + [self.exactly, self.until, self.peek] * 2 + [self.put_back, self.finish]
        )
        # What would have to wait, is longer than allowed, or ended: nothing was taken then, and the counts have to fit all the same.
        with contextlib.suppress(BlockingIOError, sl.FrameTooLongError, sl.IncompleteReadError):
            self.chance.choice(calls)(end)

    def send(self, end: End) -> None:
        if not end.finished:
            end.sent += end.conn.send(stream(end.sent, self.chance.choice((1, 80, 3000, 40_000))), timeout=0)

    def took(self, end: End, data: bytes) -> None:
        assert data == stream(end.taken, len(data))
        end.taken += len(data)

    def recv(self, end: End) -> None:
        self.took(end, end.conn.recv(self.chance.choice((1, 500, 20_000)), timeout=0))

    def exactly(self, end: End) -> None:
        self.took(end, end.conn.recv_exactly(self.chance.choice((10, 2000, 70_000)), timeout=0))

    def until(self, end: End) -> None:
        self.took(end, end.conn.recv_until(b"\n", max_bytes=self.chance.choice((100, 4000)), timeout=0))

    def peek(self, end: End) -> None:
        data = end.conn.peek(1000, timeout=0)
        assert data == stream(end.taken, len(data))

    def put_back(self, end: End) -> None:
        count = min(end.taken, self.chance.randrange(1, 300))
        end.conn.unrecv(stream(end.taken - count, count))
        end.taken -= count

    def finish(self, end: End) -> None:
        # Seldom, so that most looks see both directions at work.
        if not end.finished and self.chance.random() < 0.3:
            end.conn.shutdown("send")
            end.finished = True


@pytest.mark.parametrize("seed", [1, 2, 3, None])
def test_all_tell_the_same(seed: int | None) -> None:
    psutil = pytest.importorskip("psutil")
    with seeded(seed) as chosen, contextlib.ExitStack() as stack:
        chance = random.Random(chosen)
        sizes: list[dict[str, Any]] = [{}, {}, {"recv_buffer": SMALL}, {"recv_buffer": SMALL, "send_buffer": SMALL}]
        hosts = chance.choices(["127.0.0.1", "127.0.0.101"], k=4)
        works = [
            Workload(chance, *stack.enter_context(ends(host, **size))) for host, size in zip(hosts, sizes, strict=True)
        ]
        checked = 0
        for _ in range(LOOKS):
            for _ in range(STEPS * len(works)):
                chance.choice(works).step()
            for work in works:
                checked += agree(work, psutil)
        assert checked > LOOKS


def agree(work: Workload, psutil: Any) -> int:
    """Compares everything, for a moment in which nothing moved: ss says the same before and after. How many rows ss had."""
    wanted = [end.ends for end in work.both]
    port = work.server_port
    for _ in range(100):
        before = ss_table(port)
        rows = list(sl.ports(port))
        seen = sl.lens(*(end.conn for end in work.both))
        told = proc_table()
        programs = {(conn.laddr, conn.raddr): conn for conn in psutil.net_connections("tcp")}
        after = ss_table(port)
        if all(still(before.get(key)) == still(after.get(key)) for key in wanted):
            break
    else:
        raise AssertionError("the kernel does not come to rest, as ss tells")
    for key in wanted:
        ours, theirs = [row for row in rows if (row.local, row.peer) == key], after.get(key)
        assert len(ours) == (theirs is not None), key
        if theirs is None:
            assert key not in told
            continue
        assert told[key][2:5] == theirs[2:5]
        (row,) = ours
        assert row.state.value == theirs.state
        assert (row.recv_queue, row.send_queue) == queues(theirs)
        assert row.pid == programs[key].pid
        assert row.pid == (None if row.state == TcpState.TIME_WAIT else os.getpid())
    for flow, sender, reader in zip(seen.flows, work.both, reversed(work.both), strict=True):
        compare(flow, sender, reader, after)
    assert seen.holds is True
    return sum(key in after for key in wanted)


def still(row: Row | None) -> tuple[object, ...]:
    """What must not change while the others look."""
    if row is None:
        return ()
    return (*row[2:5], *(row.fields.get(name) for name in ("bytes_received", "bytes_sent", "notsent")))


def queues(row: Row) -> tuple[int, int]:
    """Bytes to read and bytes unacknowledged, without the FINs that ss counts."""
    recv_queue = max(row.recv_queue - (row.state in FIN_IN), 0)
    return recv_queue, max(row.send_queue - (row.state in FIN_OUT), 0)


def compare(flow: Flow, sender: End, reader: End, told: dict[Ends, Row]) -> None:
    """One direction of the lens beside our own counts and ss's queues."""
    law = flow.law
    assert (law.sent, law.taken) == (sender.sent, reader.taken)
    assert law.memory is not None
    if reader.ends in told and told[reader.ends].state != TcpState.TIME_WAIT.value:
        row = told[reader.ends]
        assert law.queue == queues(row)[0]
        # TCP_INFO counts a FIN as a byte.
        arrived = int(row.fields.get("bytes_received", 0)) - (row.state in FIN_IN)
        assert arrived == reader.taken + law.memory + law.queue
    if sender.ends in told and told[sender.ends].state != TcpState.TIME_WAIT.value:
        row = told[sender.ends]
        assert law.outstanding == queues(row)[1]
        if not sender.finished:
            unsent = next(stage.count for stage in flow.stages if stage.place is Place.UNSENT)
            assert unsent == int(row.fields.get("notsent", 0))
    at = sender.sent
    for stage in flow.stages:
        for piece in stage.pieces if stage.place is not Place.TAKEN else ():
            assert piece.first == stream(piece.start, len(piece.first)), (stage.place, piece)
            at = min(at, piece.start)
    buffered = sum(stage.count or 0 for stage in flow.stages if stage.place is not Place.TAKEN)
    # What has arrived and is not acknowledged yet is at two places.
    assert buffered - law.both == sender.sent - reader.taken
    assert at == reader.taken
