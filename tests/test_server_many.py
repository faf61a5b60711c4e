"""The promise: one server in Rust serves ten thousand clients at once, each correctly, takes little memory for each, and forgets all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import socklens as sl
from helpers import descriptors, eventually, lacking
from program import Program
from serving import DEADLINE, whole

if not sys.platform.startswith("linux"):
    pytest.skip("RLIMIT_NOFILE and /proc of Linux", allow_module_level=True)
import resource

MANY = 10_000
ROOM = 200
"""Descriptors that each of the two processes needs for other things."""

CLIENTS = """
    import resource, socket, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    clients = [socket.create_connection((host, port), 60) for _ in range(count)]
    print("connected", file=sys.stderr, flush=True)
    for command in sys.stdin:
        if command == "talk\\n":
            for number, client in enumerate(clients):
                client.sendall(b"client %d\\n" % number)
            for number, client in enumerate(clients):
                answer = b""
                while not answer.endswith(b"\\n"):
                    answer += client.recv(100)
                assert answer == b"client %d\\n" % number, (number, answer)
            print("answered", file=sys.stderr, flush=True)
        elif command == "listen\\n":
            for client in clients:
                assert client.recv(100) == b"to all\\n"
            print("heard", file=sys.stderr, flush=True)
        elif command == "leave\\n":
            for client in clients:
                client.close()
            print("left", file=sys.stderr, flush=True)
"""


@pytest.fixture
def descriptors_for_many() -> Iterator[None]:
    """Raises the soft limit of descriptors to the hard one, where that is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MANY + ROOM
    if hard != resource.RLIM_INFINITY and hard < needed:
        lacking(f"{needed} descriptors are needed, and this machine allows {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.usefixtures("descriptors_for_many", "no_leaks")
@pytest.mark.parametrize("handler", [sl.LineEcho(), sl.OnMessage(lambda conn, line: line)], ids=["rust", "on message"])
def test_ten_thousand_clients(handler: Any) -> None:
    with sl.Server(handler, backlog=4096) as server:
        whole(server)
        eventually(lambda: not server.clients)
        before = resident()
        host, port = server.local_addr.host, server.local_addr.port
        code = "\n".join(line.removeprefix("    ") for line in CLIENTS.splitlines())
        with Program(sys.executable, "-c", code, host, str(port), str(MANY)) as program:
            program.wait_for("connected")
            eventually(lambda: server.accepted == MANY + 1)
            taken = (resident() - before) / MANY
            assert taken < 2048, "bytes for each that has said nothing"
            program.feed(b"talk\n")
            program.wait_for("answered")
            roster = server.clients
            assert len({client.peer_addr for client in roster}) == MANY
            assert {client.totals.received - client.totals.sent for client in roster[::100]} == {0}
            with sl.connect(server.local_addr, timeout=DEADLINE) as one_more:
                one_more.sendall(b"among many\n")
                assert one_more.recv_line(timeout=DEADLINE) == b"among many\n"
            eventually(lambda: len(server.clients) == MANY)
            assert server.broadcast(b"to all\n") == MANY
            program.feed(b"listen\n")
            program.wait_for("heard")
            del roster
            program.feed(b"leave\n")
            program.wait_for("left")
            eventually(lambda: not server.clients)
            program.end_input()
            assert program.ended() == 0
        assert (server.errors, server.dropped, server.refused) == ([], [], 0)
        eventually(lambda: len(list(descriptors())) < ROOM)
        whole(server)
        eventually(lambda: not server.clients)
        eventually(lambda: resident() - before < 16 << 20, what="the memory back")


@pytest.mark.usefixtures("descriptors_for_many", "no_leaks")
def test_ten_thousand_clients_when_the_server_stops() -> None:
    server = sl.Server(sl.LineEcho(), backlog=4096).start()
    host, port = server.local_addr.host, server.local_addr.port
    code = "\n".join(line.removeprefix("    ") for line in CLIENTS.splitlines())
    with Program(sys.executable, "-c", code, host, str(port), str(MANY)) as program:
        program.wait_for("connected")
        eventually(lambda: server.accepted == MANY)
        server.stop(DEADLINE)
        assert len(server.dropped) + server.dropped.lost == MANY
        assert len(server.clients) == 0
        assert len(list(descriptors())) < ROOM
        sl.listen(server.local_addr).close()
