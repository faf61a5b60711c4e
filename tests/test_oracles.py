"""The promise: what socklens reports is what the kernel tells everybody: `ss`, /proc/net/tcp, TCP_INFO asked by
Python's own socket."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import oracles
import pytest
import socklens as sl
from flow import HOSTS, SMALL, arrived, ends, settle, stream, stuff
from helpers import eventually, lacking

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ss and /proc are Linux's")

State = sl.TcpState


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    """Loopback of both families."""
    host = str(request.param)
    try:
        sl.listen(host, 0).close()
    except OSError:
        lacking(f"this machine has no {host}")
    return host


# Each situation is brought about, and gives the end to look at and the state that RFC 9293 says it is in.
Situation = Callable[[ExitStack, str], tuple[sl.Connection | sl.Listener, State]]


def listening(stack: ExitStack, host: str) -> tuple[sl.Listener, State]:
    return stack.enter_context(sl.listen(host, 0)), State.LISTEN


def closed_listener(stack: ExitStack, host: str) -> tuple[sl.Listener, State]:
    listener, _ = listening(stack, host)
    listener.close()
    return listener, State.CLOSED


def client_end(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    return stack.enter_context(ends(host))[0], State.ESTABLISHED


def server_end(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    return stack.enter_context(ends(host))[1], State.ESTABLISHED


def no_answer_to_the_syn(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    listener = stack.enter_context(sl.listen(host, 0, backlog=0))
    stack.enter_context(sl.connect(listener.local_addr))
    eventually(lambda: listener.backlog.waiting == 1)
    return stack.enter_context(sl.connect(listener.local_addr, wait=False)), State.SYN_SENT


def finished(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, _ = stack.enter_context(ends(host))
    client.shutdown("send")
    return client, State.FIN_WAIT_2


def peer_finished(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host))
    server.shutdown("send")
    return client, State.CLOSE_WAIT


def finished_behind_a_full_window(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host, recv_buffer=SMALL, send_buffer=SMALL))
    stuff(client, server)
    client.shutdown("send")
    return client, State.FIN_WAIT_1


def both_finished_behind_a_full_window(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host, recv_buffer=SMALL, send_buffer=SMALL))
    stuff(client, server)
    server.shutdown("send")
    eventually(lambda: client.state == State.CLOSE_WAIT)
    client.shutdown("send")
    return client, State.LAST_ACK


def both_finished_at_once(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host, recv_buffer=SMALL, send_buffer=SMALL))
    for sender, reader in ((client, server), (server, client)):
        stuff(sender, reader)
    for conn in (client, server):
        conn.shutdown("send")
    # Now the server's FIN can come, and the client's cannot leave yet.
    assert client.recv_all(timeout=10) == stream(0, server.totals.sent)
    return client, State.CLOSING


def in_time_wait_and_open(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host))
    client.shutdown("send")
    assert server.recv(timeout=10) == b""
    server.close()
    return client, State.TIME_WAIT


def closed_first(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host))
    client.close()
    assert server.recv(timeout=10) == b""
    server.close()
    return client, State.TIME_WAIT


def closed_second(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host))
    client.close()
    assert server.recv(timeout=10) == b""
    server.close()
    return server, State.CLOSED


def closed_and_the_peer_did_not(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, _ = stack.enter_context(ends(host))
    client.close()
    return client, State.FIN_WAIT_2


def reset_by_the_peer(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, server = stack.enter_context(ends(host))
    server.abort()
    return client, State.CLOSED


def aborted(stack: ExitStack, host: str) -> tuple[sl.Connection, State]:
    client, _ = stack.enter_context(ends(host))
    client.abort()
    return client, State.CLOSED


SITUATIONS: list[Situation] = [
    listening,
    closed_listener,
    client_end,
    server_end,
    no_answer_to_the_syn,
    finished,
    peer_finished,
    finished_behind_a_full_window,
    both_finished_behind_a_full_window,
    both_finished_at_once,
    in_time_wait_and_open,
    closed_first,
    closed_second,
    closed_and_the_peer_did_not,
    reset_by_the_peer,
    aborted,
]


Oracle = Callable[[oracles.Endpoint, oracles.Endpoint | None], oracles.Row | None]
ORACLES: tuple[Oracle, ...] = (oracles.ss, oracles.proc)


def witnesses(end: sl.Connection | sl.Listener) -> set[int]:
    """The numbers of the states that the oracles tell; no row is CLOSED."""
    rows = [oracle(end.local_addr, end.peer_addr if isinstance(end, sl.Connection) else None) for oracle in ORACLES]
    return {row.state if row else int(State.CLOSED) for row in rows}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_state(situation: Situation, host: str) -> None:
    with ExitStack() as stack:
        end, expected = situation(stack, host)
        # First the witnesses, so that the kernel has had its time; for ours there is no more waiting.
        eventually(lambda: witnesses(end) == {int(expected)}, what=f"{expected} by both oracles")
        assert end.state == expected


def queues(conn: sl.Connection) -> tuple[int, int]:
    return conn.input_buffer.kernel, len(conn.output_buffer)


def test_queues_as_the_buffers_fill_and_drain(host: str) -> None:
    with ends(host, recv_buffer=SMALL, send_buffer=SMALL) as (client, server):

        def agreed(*oracles: Oracle) -> bool:
            """At one moment: in between the kernel may send what a reader has made room for."""
            settle(client, server)
            here = arrived(server)
            sent, read = client.totals.sent, server.totals.read
            for conn in (client, server):
                rows = [oracle(conn.local_addr, conn.peer_addr) for oracle in oracles]
                if any(row is None or queues(conn) != (row.recv_queue, row.send_queue) for row in rows):
                    return False
            content = bytes(client.output_buffer), bytes(server.input_buffer)
            return content == (stream(here, sent - here), stream(read, here - read))

        eventually(lambda: agreed(*ORACLES))
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(stream(client.totals.sent, 1024), timeout=0)
                if client.totals.sent % 4096 == 0:
                    eventually(lambda: agreed(oracles.proc))
        eventually(lambda: agreed(*ORACLES))
        assert len(client.output_buffer) > 0
        while server.totals.read < client.totals.sent:
            server.recv(7000, timeout=10)
            eventually(lambda: agreed(*ORACLES))
        assert queues(client) == queues(server) == (0, 0)


def test_unsent_is_what_ss_says() -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        stuff(client, server)
        view = client.output_buffer
        row = oracles.ss(client.local_addr, client.peer_addr)
        assert row
        assert view.unsent == int(row.fields["notsent"]) > 0
        assert view.unacknowledged == len(view) - view.unsent == int(row.fields.get("unacked", 0)) == 0


def test_a_fin_is_no_byte_of_a_queue(host: str) -> None:
    """The kernel counts queues in sequence numbers, of which a FIN takes one; ss shows it, a buffer has no such
    byte."""
    with ends(host, recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        sent = stuff(client, server)
        outstanding = len(client.output_buffer)
        client.shutdown("send")
        row = oracles.ss(client.local_addr, client.peer_addr)
        assert row
        assert row.send_queue == outstanding + 1
        view = client.output_buffer
        assert (len(view), view.unsent, view.unacknowledged) == (outstanding, outstanding, 0)
        assert bytes(view) == stream(sent - outstanding, outstanding)
        got = server.recv_exactly(sent - 100, timeout=10)
        eventually(lambda: server.state == State.CLOSE_WAIT)
        assert queues(server) == (0, 0) if server.input_buffer.rust else (100, 0)
        row = oracles.ss(server.local_addr, server.peer_addr)
        assert row
        assert row.recv_queue == server.input_buffer.kernel + 1
        assert got + server.recv_all(timeout=10) == stream(0, sent)


def test_output_content_is_a_tail_where_more_is_outstanding_than_is_kept() -> None:
    with ends(recv_buffer=SMALL, send_buffer=1 << 20) as (client, server):
        sent = stuff(client, server)
        here = arrived(server)
        view = client.output_buffer
        assert len(view) == sent - here > 1 << 16
        assert len(bytes(view)) == 1 << 16 == len(view) - view.not_kept
        assert bytes(view) == stream(here + view.not_kept, 1 << 16)
        assert view.peek(10) == stream(here + view.not_kept, 10)


@pytest.mark.parametrize(("recv_buffer", "send_buffer"), [(None, None), (1, 1), (10_000, 20_000), (100_000, 1_000)])
def test_buffer_sizes(host: str, recv_buffer: int | None, send_buffer: int | None) -> None:
    with ends(host, recv_buffer=recv_buffer, send_buffer=send_buffer) as pair:
        for conn in pair:
            row = oracles.ss(conn.local_addr, conn.peer_addr)
            assert row
            assert conn.input_buffer.capacity == int(row.fields["rb"])
            assert conn.output_buffer.capacity == int(row.fields["tb"])
            assert (conn.input_buffer.asked, conn.output_buffer.asked) == (recv_buffer, send_buffer)


# What ss prints, our name for it, and what to multiply it with to have our unit.
SS_FIELDS = {
    "rto": ("rto", 1000),
    "ato": ("ato", 1000),
    "minrtt": ("min_rtt", 1000),
    "mss": ("snd_mss", 1),
    "rcvmss": ("rcv_mss", 1),
    "cwnd": ("snd_cwnd", 1),
    "snd_wscale": ("snd_wscale", 1),
    "rcv_wscale": ("rcv_wscale", 1),
} | {
    name: (name, 1)
    for name in (
        "pmtu advmss bytes_sent bytes_acked bytes_received segs_out segs_in data_segs_out data_segs_in "
        "delivered reordering rcv_space rcv_ssthresh snd_wnd"
    ).split()
}


def chat(client: sl.Connection, server: sl.Connection) -> None:
    for number in range(1, 20):
        for sender, reader in ((client, server), (server, client)):
            sender.sendall(bytes(number * 997))
            reader.recv_exactly(number * 997, timeout=10)
    for sender, reader in ((client, server), (server, client)):
        settle(sender, reader)


def test_tcp_info_is_what_ss_prints(host: str) -> None:
    with ends(host) as pair:
        chat(*pair)
        for conn in pair:
            row = oracles.ss(conn.local_addr, conn.peer_addr)
            assert row
            ours = conn.info().to_dict()
            missing = SS_FIELDS.keys() - row.fields.keys()
            assert missing <= {"ato", "snd_wnd", "reordering"}, "ss has changed its names"
            # It leaves out what is at its default, and an older one what it does not know.
            for name in SS_FIELDS.keys() - missing:
                known_as, factor = SS_FIELDS[name]
                assert ours[known_as] == pytest.approx(float(row.fields[name]) * factor), name
            rtt, rttvar = (round(float(number) * 1000) for number in row.fields["rtt"].split("/"))
            assert (ours["rtt"], ours["rttvar"]) == (rtt, rttvar)


# struct tcp_info of linux/tcp.h, in its own order; the two bytes of bit fields are checked with ss.
LAYOUT = "=8B24I4Q6I4Q2I2Q6I2HI"
NAMES = """state ca_state retransmits probes backoff options _ _
    rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv
    last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans
    pacing_rate max_pacing_rate bytes_acked bytes_received
    segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out
    delivery_rate busy_time rwnd_limited sndbuf_limited
    delivered delivered_ce bytes_sent bytes_retrans
    dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash total_rto total_rto_recoveries total_rto_time""".split()


def test_tcp_info_is_what_pythons_socket_reads() -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as pair:
        chat(*pair)
        stuff(*pair)
        for conn in pair:
            with socket.socket(fileno=os.dup(conn.fileno())) as sock:
                size = struct.calcsize(LAYOUT)
                raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
            if len(raw) < size:
                lacking("this kernel's tcp_info is shorter")
            theirs = dict(zip(NAMES, struct.unpack(LAYOUT, raw), strict=True))
            info = conn.info()
            ours = info.to_dict()
            assert all(getattr(info, name) == value for name, value in ours.items())
            assert int(ours["state"]) == theirs.pop("state")
            assert ours.keys() - theirs.keys() == {"state", "snd_wscale", "rcv_wscale", "delivery_rate_app_limited"}
            # Clocks, which run on, and rates made of them.
            for name in (
                "_",
                *(name for name in theirs if name.startswith("last_") or name.endswith(("_time", "_limited"))),
            ):
                theirs.pop(name)
            assert {name: ours[name] for name in theirs} == theirs


def test_the_backlog_is_the_listeners_row(host: str) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(sl.listen(host, 0, backlog=3))

        def agree(waiting: int) -> bool:
            rows = [oracle(listener.local_addr, None) for oracle in ORACLES]
            assert all(rows)
            # /proc has no limit there (send queue 0).
            found = [(row.recv_queue, row.send_queue) for row in rows if row]
            return listener.backlog == (waiting, 3) == found[0] and found[1][0] == waiting

        for waiting in range(5):
            eventually(partial(agree, waiting))
            if waiting < 4:
                stack.enter_context(sl.connect(listener.local_addr, timeout=10))
        for waiting in (3, 2, 1, 0):
            stack.enter_context(listener.accept(timeout=10))
            eventually(partial(agree, waiting))


def test_the_backlog_that_the_kernel_granted() -> None:
    with open("/proc/sys/net/core/somaxconn") as file, sl.listen(port=0, backlog=1 << 30) as listener:
        row = oracles.ss(listener.local_addr)
        assert row
        assert listener.backlog == (0, int(file.read())) == (row.recv_queue, row.send_queue)


def test_endpoints_of_an_ipv4_client_on_a_dual_stack_listener() -> None:
    try:
        listener = sl.listen("::", 0, dual_stack=True)
    except OSError:
        lacking("this machine has no IPv6")
    with listener, sl.connect("127.0.0.1", listener.local_addr.port) as client, listener.accept(timeout=10) as server:
        assert (server.local_addr.host, server.peer_addr.host) == ("::ffff:127.0.0.1", "::ffff:127.0.0.1")
        for conn in (client, server):
            assert conn.state == State.ESTABLISHED
            for oracle in ORACLES:
                row = oracle(conn.local_addr, conn.peer_addr)
                assert row
                assert (row.local, row.peer, row.state) == (conn.local_addr, conn.peer_addr, int(conn.state))
        client.close()
        assert server.recv(timeout=10) == b""
        server.close()
        assert (client.state, server.state) == (State.TIME_WAIT, State.CLOSED)
