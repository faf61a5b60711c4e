"""The promise: `sl.ports()` shows what the kernel has, and says what it could not see. The witnesses: `ss`, /proc, psutil."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import socklens as sl
from helpers import eventually, seeded
from network import free_port, in_private_network, need_ipv6
from oracles import ss
from program import Program
from refusals import refused
from socklens._ports._look import look

HOST = "127.0.0.1"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the witnesses are Linux's")


def one(table: sl.PortTable, local: sl.Address, peer: sl.Address | None = None) -> sl.PortRow:
    found = [row for row in table if row.local == local and row.peer == peer]
    assert len(found) == 1, table
    return found[0]


def rested() -> tuple[sl.Address, sl.Address]:
    """The endpoints of what rests in TIME_WAIT, after its listener has gone too."""
    with sl.listen(port=free_port()) as listener, sl.connect(listener.local_addr, timeout=10) as client:
        server = listener.accept(timeout=10)
        server.close()
        assert client.recv(timeout=10) == b""
        client.close()
        eventually(lambda: server.state == sl.TcpState.TIME_WAIT)
        return server.local_addr, server.peer_addr


def _all_is_taken(*ends: sl.Connection) -> bool:
    return not any(len(end.output_buffer) for end in ends)


def _is_half_closed(client: sl.Connection, server: sl.Connection) -> bool:
    return (client.state, server.state) == (sl.TcpState.FIN_WAIT_2, sl.TcpState.CLOSE_WAIT)


@contextlib.contextmanager
def workload(seed: int) -> Iterator[list[tuple[sl.Address, sl.Address | None]]]:
    """Sockets in many states, and the endpoints of each."""
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(sl.listen(HOST, 0, backlog=chance.randrange(1, 9))) for _ in range(3)]
        with contextlib.suppress(OSError):
            listeners.append(stack.enter_context(sl.listen("::1", 0)))
        ends: list[tuple[sl.Address, sl.Address | None]] = [(one.local_addr, None) for one in listeners]
        for _ in range(25):
            listener = chance.choice(listeners)
            client = stack.enter_context(sl.connect(listener.local_addr, timeout=10))
            server = stack.enter_context(listener.accept(timeout=10))
            for end in (client, server):
                end.send(bytes(chance.randrange(1, 5000)))
            eventually(partial(_all_is_taken, client, server))
            match chance.randrange(4):
                case 0:
                    client.shutdown("send")
                    eventually(partial(_is_half_closed, client, server))
                case 1:
                    server.recv_exactly(1, timeout=10)
            ends += [(client.local_addr, client.peer_addr), (server.local_addr, server.peer_addr)]
        waiting = stack.enter_context(sl.connect(listeners[0].local_addr, timeout=10))
        eventually(lambda: listeners[0].backlog.waiting == 1)
        ends.append((waiting.local_addr, waiting.peer_addr))
        ends.append((waiting.peer_addr, waiting.local_addr))
        yield ends


@pytest.mark.parametrize("source", ["sock_diag", "/proc/net/tcp"])
def test_every_row_is_what_ss_tells(source: str) -> None:
    with seeded() as seed, workload(seed) as ends:
        table = look(source=source)
        assert table.source == source
        for local, peer in ends:
            row, told = one(table, local, peer), ss(tuple(local), peer and tuple(peer))
            assert told is not None
            assert row.state.value == told.state
            if peer is None:
                assert row.accept_queue == told.recv_queue
                assert row.accept_limit == (told.send_queue if source == "sock_diag" else None)
                assert (row.recv_queue, row.role) == (None, "listener")
            else:
                # ss counts a FIN as a byte.
                fin = row.state in (sl.TcpState.CLOSE_WAIT, sl.TcpState.LAST_ACK)
                assert row.recv_queue == max(told.recv_queue - fin, 0)
                sent_fin = row.state in (sl.TcpState.FIN_WAIT_1, sl.TcpState.LAST_ACK)
                assert row.send_queue == max(told.send_queue - sent_fin, 0)
        assert one(table, *ends[-1]).role == "not accepted yet"


def test_every_row_is_what_psutil_tells() -> None:
    psutil = pytest.importorskip("psutil")
    with seeded() as seed, workload(seed) as ends:
        told = {
            (sl.Address(*conn.laddr), sl.Address(*conn.raddr) if conn.raddr else None): conn
            for conn in psutil.net_connections("tcp")
        }
        table, elsewhere = sl.ports(), look(source="psutil")
        for local, peer in ends:
            row, conn, other = one(table, local, peer), told[local, peer], one(elsewhere, local, peer)
            assert row.pid == conn.pid == other.pid
            assert row.state == other.state
            assert row.program == other.program
            assert other.recv_queue is None
            # psutil does not tell of a connection without a process whether it was accepted.
            assert other.role == (None if row.role == "not accepted yet" else row.role)
        assert elsewhere.unseen


def test_a_role_is_by_addresses_not_by_ports_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(local: tuple[str, int], peer: tuple[str, int] | None, status: str) -> SimpleNamespace:
        end = SimpleNamespace
        family = end(name="AF_INET")
        raddr = end(ip=peer[0], port=peer[1]) if peer else None
        return end(laddr=end(ip=local[0], port=local[1]), raddr=raddr, status=status, family=family, pid=1)

    elsewhere = ("203.0.113.9", 80)
    rows = [
        told(("127.0.0.1", 80), None, "LISTEN"),
        # The listener's port, and not its address: it is the other machine's service.
        told(("192.0.2.1", 50000), elsewhere, "ESTABLISHED"),
        told(("127.0.0.1", 80), ("127.0.0.1", 50001), "ESTABLISHED"),
        told(("127.0.0.1", 50001), ("127.0.0.1", 80), "ESTABLISHED"),
        told(("192.0.2.1", 80), ("203.0.113.9", 50002), "ESTABLISHED"),
        told(("fe80::1%en0", 80), None, "CLOSE"),
    ]

    def nobody(pid: int) -> None:
        raise LookupError(pid)

    psutil = SimpleNamespace(
        net_connections=lambda kind: rows, AccessDenied=PermissionError, Error=LookupError, Process=nobody
    )
    monkeypatch.setitem(sys.modules, "psutil", psutil)
    table = look(source="psutil")
    roles = {(row.local.host, row.local.port, row.peer and row.peer.port): row.role for row in table}
    # Towards another machine the ports that the kernel gives away by itself may settle it, where they are told.
    assert roles.pop(("192.0.2.1", 50000, 80)) in (None, "client")
    assert roles == {
        ("127.0.0.1", 80, None): "listener",
        ("127.0.0.1", 80, 50001): "accepted",
        ("127.0.0.1", 50001, 80): "client",
        ("192.0.2.1", 80, 50002): None,
        ("fe80::1%en0", 80, None): "bound",
    }


def test_both_sources_tell_the_same() -> None:
    with workload(7) as ends:
        first, second = look(source="sock_diag"), look(source="/proc/net/tcp")
        for local, peer in ends:
            row, other = one(first, local, peer), one(second, local, peer)
            for name in ("protocol", "state", "recv_queue", "send_queue", "pid", "program", "role", "uid", "inode"):
                assert getattr(row, name) == getattr(other, name), name
        assert any("sock_diag was refused" in said for said in second.unseen)


def test_the_accept_queue_and_its_limit(listener: sl.Listener) -> None:
    with sl.listen(backlog=3) as small, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(sl.connect(small.local_addr, timeout=10)) for _ in range(2)]
        eventually(lambda: small.backlog.waiting == 2)
        table = sl.ports(small.local_addr.port)
        row = one(table, small.local_addr)
        assert (row.accept_queue, row.accept_limit) == (2, 3)
        for client in clients:
            waiting = one(table, client.peer_addr, client.local_addr)
            assert (waiting.role, waiting.pid, waiting.note) == ("not accepted yet", None, "in the accept queue")
            assert str(waiting.owner).startswith("`small`")
        with small.accept(timeout=10) as server:
            assert one(sl.ports(), server.local_addr, server.peer_addr).role == "accepted"


def test_time_wait_has_its_seconds() -> None:
    local, peer = rested()
    seconds = [
        one(look(local.port, source=source), local, peer).seconds_left for source in ("sock_diag", "/proc/net/tcp")
    ]
    for left in seconds:
        assert left is not None
        assert 30 < left <= 60.1
    row = one(sl.ports(local.port), local, peer)
    assert (row.pid, row.note[-6:], row.role) == (None, "s left", None), "its listener is gone"
    told = subprocess.run(["ss", "-tanoH", f"sport = :{local.port}"], capture_output=True, text=True, check=True).stdout
    assert "timewait" in told
    check = sl.port_check(local.port)
    assert (check.taken, check.free, len(check.resting)) == (False, False, 1)
    assert check.seconds_left is not None


def test_ipv6_and_dual_stack() -> None:
    need_ipv6()
    with (
        sl.listen("::", dual_stack=True) as both,
        sl.connect(HOST, both.local_addr.port, timeout=10) as client,
        both.accept(timeout=10) as server,
    ):
        table = sl.ports(both.local_addr.port)
        assert one(table, both.local_addr).protocol == "tcp6"
        row = one(table, server.local_addr, server.peer_addr)
        assert (row.role, str(row.owner).split(",")[0]) == ("accepted", "`server`")
        assert one(table, client.local_addr, client.peer_addr).protocol == "tcp"


def test_a_socket_that_is_only_bound() -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        address = sl.Address(*bound.getsockname())
        rows = [row for row in sl.ports(address.port) if row.local == address]
        if not rows:
            pytest.skip("this kernel does not tell (Linux 6.8 does)")
        assert [(row.role, row.state, str(row.owner)) for row in rows] == [("bound", sl.TcpState.CLOSED, "`bound`")]
        assert sl.port_check(address.port).taken


def test_another_program_has_its_name_and_cannot_hide_in_it() -> None:
    code = r"""
import socket, sys
open("/proc/self/comm", "w").write("<b>\x1b[31mX")
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
sys.stdin.read()"""
    with Program(sys.executable, "-c", code) as other:
        port = int(other.wait_for(r"(\d+)\n", stdout=True)[1])
        table = sl.ports(port)
        row = one(table, sl.Address(HOST, port))
        assert (row.pid, row.program) == (other._process.pid, "<b>\x1b[31mX")
        assert row.owner is None
        text, html = repr(table), table._repr_html_()
        assert "\x1b" not in text + html + repr(row)
        assert r"<b>\x1b[31mX" in text
        assert r"&lt;b&gt;\x1b[31mX" in html
        assert "<b>" not in html
        assert not sl.ports(port, mine=True)
        assert len(sl.ports(pid=other._process.pid)) == 1


def test_variables_and_lines() -> None:
    listener = sl.listen()
    clients = [sl.connect(listener.local_addr, timeout=10) for _ in range(2)]
    named = {"ann": sl.connect(listener.local_addr, timeout=10)}
    servers = [listener.accept(timeout=10) for _ in range(3)]
    table = sl.ports(mine=True)
    names = {
        row.local: row.owner.variable
        for row in table
        if row.owner and row.peer and row.peer.port == listener.local_addr.port
    }
    assert {names[client.local_addr] for client in clients} == {"clients[0]", "clients[1]"}
    assert names[named["ann"].local_addr] == "named['ann']"
    owner = one(table, listener.local_addr).owner
    assert owner is not None
    assert (owner.variable, owner.made_in) == ("listener", listener.created_at)
    before = sl.ports(mine=True)
    clients[0].close()
    changes = sl.ports(mine=True).diff(before)
    assert changes
    assert not changes.opened
    assert "clients[0]" in repr(changes)
    listener.close()
    for conn in (*clients, *named.values(), *servers):
        conn.close()


def test_a_client_of_a_server_in_rust_was_made_by_no_line_of_this_package() -> None:
    with sl.Server(sl.Echo(), HOST, 0) as server, sl.connect(server.local_addr, timeout=10) as client:
        client.sendall(b"x")
        assert client.recv(timeout=10) == b"x"
        row = one(sl.ports(), client.peer_addr, client.local_addr)
        assert str(row.owner).startswith("`server.clients[0]`")
        assert str(Path(sl.__file__).parent) not in str(row.owner)


def test_diff_tells_what_was_opened_closed_and_changed() -> None:
    def now() -> sl.PortTable:
        return sl.ports(mine=True)

    empty = now()
    assert not now().diff(empty)
    assert "no changes" in repr(now().diff(empty))
    with sl.listen() as listener, sl.connect(listener.local_addr, timeout=10) as client:
        eventually(lambda: listener.backlog.waiting == 1)
        waiting = now()
        opened = waiting.diff(empty)
        assert {row.role for row in opened.opened} >= {"listener", "client", "not accepted yet"}
        with listener.accept(timeout=10) as server:
            changes = now().diff(waiting)
            ends = [(before.role, after.role) for before, after in changes.changed if after.local == server.local_addr]
            assert ("not accepted yet", "accepted") in ends
            assert not changes.opened
            assert not changes.closed
            assert "not accepted yet → accepted" in repr(changes)
        assert client.recv(timeout=10) == b""
    refused(TypeError, ["earlier look"], empty.diff, [])


def test_filter_and_sort(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    server.send(b"x" * 100)
    eventually(lambda: client.input_buffer.kernel == 100)
    # Others may have a connection with this port, too.
    table = sl.ports(client.local_addr.port, mine=True)
    assert {row.local for row in table} == {client.local_addr, server.local_addr}
    assert len(table.filter(state="ESTAB")) == len(table.filter(state=[sl.TcpState.ESTABLISHED, "time-wait"])) == 2
    assert len(table.filter(where=lambda row: row.recv_queue)) == 1
    assert table.sort("recv_queue", reverse=True)[0].local == client.local_addr
    assert [row.local.port for row in table.sort("local")] == sorted(row.local.port for row in table)
    assert len(sl.ports(host=HOST, port=client.local_addr.port, mine=True)) == 2
    assert len(sl.ports(host="127.0.0.99", port=client.local_addr.port)) == 0
    fields = table.to_dicts()[0]
    assert (fields["local_port"], fields["state"]) == (table[0].local.port, "ESTABLISHED")
    assert table[:1] == table.filter(where=lambda row: row is table[0])
    refused(ValueError, ["LISTEN", "did you mean"], table.filter, state="LISTENN")
    refused(ValueError, ["no column", "recv_queue"], table.sort, "queue")
    refused(ValueError, ["no role", "listener"], table.filter, role="server")
    refused(OverflowError, ["65535"], sl.ports, 65536)
    refused(IndexError, ["2 rows"], table.__getitem__, 2)


def test_what_is_not_seen_is_said(listener: sl.Listener) -> None:
    seen = one(sl.ports(), listener.local_addr)._all()
    hidden = sl.PortRow(seen._replace(pid=None, program=None, owner=None))
    table = sl.PortTable([hidden], "sock_diag", 3)
    assert "3 processes" in table.unseen[0]
    assert "sudo" in table.unseen[0]
    assert table.unseen[0] in repr(table)
    assert "another container" in sl.PortTable([hidden], "sock_diag").unseen[0]
    assert sl.PortTable([sl.PortRow(seen)], "sock_diag", 3).unseen == (), "of other sockets nothing was asked"


def test_ten_thousand_rows(tmp_path: Path) -> None:
    code = """
    import resource, time
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    count = min(5000, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2)
    listener = sl.listen(backlog=4096)
    ends = []
    for _ in range(count):
        ends += [sl.connect(listener.local_addr), listener.accept()]
    before = time.process_time()
    table = sl.ports()
    text, html = repr(table), table._repr_html_()
    print(2 * count + 1, len(table), time.process_time() - before, len(text.splitlines()), html.count("<tr"))
    print(text.splitlines()[-1])
    """
    numbers, last = in_private_network(code, tmp_path)
    expected, rows, seconds, lines, drawn = map(float, numbers.split())
    assert rows == expected
    assert seconds < 1
    assert lines < 100
    assert drawn < 200
    assert last.startswith(f"the first 60 of {int(rows):,} sockets: ")


def test_looking_leaves_nothing_open(no_leaks: None) -> None:
    for source in ("sock_diag", "/proc/net/tcp"):
        assert look(source=source)
    assert os.getpid()


# The lecture's first slides


def test_addresses() -> None:
    table: Any = sl.addresses()
    loopback = [row for row in table if row.host == HOST]
    assert [(row.interface, row.prefix, row.kind) for row in loopback] == [("lo", 8, "loopback")]
    shown = subprocess.run(["ip", "-o", "addr"], capture_output=True, text=True, check=False).stdout
    if shown:
        told = {word.split("/")[0] for line in shown.splitlines() for word in [line.split()[3]]}
        assert told == {row.host.partition("%")[0] for row in table if row.kind != "all"}
    assert "0.0.0.0" in {row.host for row in table.filter(kind="all")}
    assert "what it means to listen there" in repr(table)
    refused(ValueError, ["loopback"], table.filter, kind="public")


def test_resolve(tmp_path: Path) -> None:
    assert sl.resolve(HOST, 80).sources == ("number",)
    assert list(sl.resolve("127.1:80")) == [sl.Address(HOST, 80)]
    code = """
    found = sl.resolve("twice", 80)
    print(list(map(str, found)), found.sources)
    with sl.listen("127.0.0.2", 8080):
        print(sl.connect("twice", 8080).peer_addr, sl.resolve("twice", 8080)[-1])
    """
    listed, tried = in_private_network(code, tmp_path, hosts="127.0.0.1 twice\n127.0.0.2 Twice # a comment\n")
    assert "127.0.0.1:80" in listed
    assert "127.0.0.2:80" in listed
    assert listed.count("/etc/hosts") == 2
    assert tried.startswith("127.0.0.2:8080")


def test_port_check(listener: sl.Listener, tmp_path: Path) -> None:
    port = listener.local_addr.port
    check = sl.port_check(port)
    assert (check.taken, check.free, check.listeners[0].pid) == (True, False, os.getpid())
    assert str(check.rows[0].local) in repr(check)
    web = sl.port_check(80)
    assert (web.service, web.blocked_by_browsers, web.ephemeral) == ("http", False, False)
    assert [sl.port_check(port).blocked_by_browsers for port in (6664, 6665, 6669, 6670)] == [False, True, True, False]
    refused(ValueError, ["port 0"], sl.port_check, 0)
    refused(OverflowError, ["65535"], sl.port_check, 65536)
    code = """
    open("/proc/sys/net/ipv4/ip_local_reserved_ports", "w").write("8080,9000-9010")
    for port in (80, 8080, 9005, 9011, 45000):
        check = sl.port_check(port)
        print(port, check.privileged, check.reserved, check.ephemeral, check.free)
    """
    assert in_private_network(code, tmp_path) == [
        "80 True False False True",
        "8080 False True False True",
        "9005 False True False True",
        "9011 False False False True",
        "45000 False False True True",
    ]


def test_the_limit_of_a_queue_is_the_kernels_number_everywhere() -> None:
    with sl.listen(backlog=0) as listener, sl.connect(listener.local_addr, timeout=10):
        eventually(lambda: tuple(listener.backlog) == (1, 0))
        row = one(sl.ports(), listener.local_addr)
        words = "1 waiting, full (limit 0 lets 1 wait)"
        assert words == row.note
        for told in (repr(listener), repr(sl.look(listener)), repr(row), repr(sl.ports(listener.local_addr.port))):
            assert words in told
        html = sl.look(listener)._repr_html_()
        assert "1 waiting to be accepted, full (limit 0 lets 1 wait)" in html
