"""The promise: programs that nobody here wrote are clients of the handlers in Rust and of OnMessage, and get right answers."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import socklens as sl
from flow import stream
from helpers import eventually, need
from program import Program
from serving import serving

pytestmark = pytest.mark.usefixtures("no_leaks")


def run(*command: str, given: bytes = b"") -> bytes:
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=True).stdout


def where(server: sl.Server) -> tuple[str, str]:
    host, port = server.local_addr
    return host, str(port)


def equal(got: bytearray, wanted: bytes) -> bool:
    return got == wanted


# The small services


def test_socat_gets_every_byte_back() -> None:
    socat = need("socat")
    sent = stream(0, 30_000_000)
    with serving(sl.Echo()) as server:
        host, port = where(server)
        assert run(socat, "-t", "30", "-", f"TCP:{host}:{port}", given=sent) == sent


def test_nc_gets_lines_and_the_time() -> None:
    nc = need("nc")
    lines = b"".join(b"line %d\n" % number for number in range(50_000)) + b"without an end"
    with serving(sl.LineEcho()) as server:
        assert run(nc, "-N", *where(server), given=lines) == lines
    with serving(sl.Daytime()) as server:
        assert run(nc, *where(server)).endswith(b" GMT\r\n")
    with serving(sl.Discard()) as server:
        assert run(nc, "-N", *where(server), given=lines) == b""


def test_many_socats_at_once() -> None:
    socat = need("socat")
    with serving(sl.Echo()) as server, ExitStack() as stack:
        address = "TCP:" + ":".join(where(server))
        programs = [stack.enter_context(Program(socat, "-t", "30", "-", address)) for _ in range(10)]
        for number, program in enumerate(programs):
            program.feed(stream(number, 200_000))
        for number, program in enumerate(programs):
            wanted = stream(number, 200_000)
            eventually(functools.partial(equal, program.out, wanted))
            program.end_input()
            assert program.ended() == 0


# A conversation


@contextmanager
def at_a_terminal(program: str, server: sl.Server) -> Iterator[Program]:
    command = (
        [need("socat"), "-", "TCP:" + ":".join(where(server))]
        if program == "socat"
        else [need(program), *where(server)]
    )
    with Program(*command) as running:
        yield running


@pytest.mark.parametrize("program", ["nc", "socat", "telnet"])
def test_a_chat(program: str) -> None:
    """telnet ends its lines with CR LF."""
    with serving(sl.Chat()) as server, at_a_terminal(program, server) as ana, at_a_terminal("nc", server) as bob:
        ana.wait_for("Send your name", stdout=True)
        ana.feed(b"ana\n")
        ana.wait_for("You are ana", stdout=True)
        bob.wait_for("Send your name", stdout=True)
        bob.feed(b"bob\n")
        bob.wait_for("You are bob. Here: ana", stdout=True)
        ana.wait_for("bob has joined", stdout=True)
        ana.feed(b"hello bob\n")
        bob.wait_for("ana: hello bob\n", stdout=True)
        bob.feed("schöne Grüße\n".encode())
        ana.wait_for("bob: schöne Grüße", stdout=True)
        assert {client.name for client in server.clients} == {"ana", "bob"}
        server.kick("bob")
        ana.wait_for("bob has left", stdout=True)
        bob.end_input()
        bob.ended()
        server.kick("ana")
        ana.end_input()
        ana.ended()


# HTTP and RESP, answered by callbacks


def http(conn: sl.Connection, line: bytes) -> bytes | None:
    """Answers a GET when its head is whole; only the first line and the empty one matter (RFC 9112)."""
    peer = conn.peer_addr
    if line == b"\r\n":
        path = asked.pop(peer, b"?")
        body = b"you asked for " + path + b"\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    asked.setdefault(peer, line.split(b" ")[1])
    return None


asked: dict[sl.Address, bytes] = {}


def test_curl_keeps_its_connection() -> None:
    curl = need("curl")
    with serving(sl.OnMessage(http)) as server:
        urls = [f"http://{server.local_addr}/{number}" for number in range(50)]
        wanted = b"".join(b"you asked for /%d\n" % number for number in range(50))
        assert run(curl, "-sS", *urls) == wanted
        assert server.accepted == 1, "one connection for all"
        run(curl, "-sS", "--parallel", *urls)
    assert asked == {}


class Store:
    """As much of a Redis server as its own client needs: RESP arrays of bulk strings come, and simple answers go."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.unread: dict[sl.Address, bytes] = {}

    def __call__(self, conn: sl.Connection, chunk: bytes) -> bytes:
        rest = self.unread.pop(conn.peer_addr, b"") + chunk
        answers = b""
        while command := self.command(rest):
            words, rest = command
            answers += self.answer(*words)
        if rest:
            self.unread[conn.peer_addr] = rest
        return answers

    @staticmethod
    def command(data: bytes) -> tuple[list[bytes], bytes] | None:
        """The first command and what is behind it, if it has come whole."""
        head, end, rest = data.removeprefix(b"\r\n").partition(b"\r\n")
        if not end:
            return None
        words = []
        for _ in range(int(head.removeprefix(b"*"))):
            size, end, rest = rest.partition(b"\r\n")
            length = int(size[1:] or b"0")
            if not end or len(rest) < length + 2:
                return None
            words.append(rest[:length])
            rest = rest[length + 2 :]
        return words, rest

    def answer(self, name: bytes, *arguments: bytes) -> bytes:
        match name.upper(), arguments:
            case b"PING", ():
                return b"+PONG\r\n"
            case b"ECHO", (word,):
                return b"$%d\r\n%b\r\n" % (len(word), word)
            case b"SET", (key, value):
                self.values[key] = value
                return b"+OK\r\n"
            case b"GET", (key,) if key in self.values:
                return b"$%d\r\n%b\r\n" % (len(self.values[key]), self.values[key])
            case b"GET", (_,):
                return b"$-1\r\n"
            case b"INCR", (key,):
                self.values[key] = b"%d" % (int(self.values.get(key, b"0")) + 1)
                return b":%b\r\n" % self.values[key]
        return b"-ERR unknown command\r\n"


def serve(store: Store, conn: sl.Connection) -> None:
    """The same with a thread for each client."""
    while chunk := conn.recv():
        conn.sendall(store(conn, chunk))


@pytest.mark.parametrize("mode", ["on message", "threads"])
def test_redis_cli(mode: str) -> None:
    cli = need("redis-cli")
    store = Store()
    handler = sl.OnMessage(store, framing="chunk") if mode == "on message" else lambda conn: serve(store, conn)
    with serving(handler) as server:
        assert server.mode == mode
        host, port = where(server)
        redis = [cli, "-h", host, "-p", port]
        assert run(*redis, "PING") == b"PONG\n"
        assert run(*redis, "SET", "name", "two words") == b"OK\n"
        assert run(*redis, "GET", "name") == b"two words\n"
        assert run(*redis, "GET", "nothing") == b"\n"
        large = b"x" * 1_000_000
        assert run(*redis, "-x", "SET", "large", given=large) == b"OK\n"
        assert run(*redis, "GET", "large") == large + b"\n"
        commands = b"INCR counter\n" * 1000
        assert run(*redis, given=commands) == b"".join(b"%d\n" % number for number in range(1, 1001))
        piped = b"*2\r\n$4\r\nINCR\r\n$5\r\nother\r\n" * 5000
        assert b"errors: 0, replies: 5000" in run(*redis, "--pipe", given=piped)
        assert store.values[b"other"] == b"5000"
    assert store.unread == {}
