"""The promise: socklens talks with the programs of textbooks, in both roles. They lie in textbook/, written as students meet
them with Python's own modules, and know nothing of socklens; curl, netcat and telnet speak HTTP and lines.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from flow import stream
from helpers import eventually, need
from program import Program
from serving import DEADLINE, echo, echo_lines, serving

pytestmark = pytest.mark.usefixtures("no_leaks")

TEXTBOOK = Path(__file__).parent / "textbook"
ECHO_SERVERS = ["blocking_echo", "threaded_echo", "selectors_echo", "socketserver_echo", "asyncio_echo"]
AT_ONCE = [server for server in ECHO_SERVERS if server != "blocking_echo"]
LINES = [b"first\n", b"\n", "zw\u00f6lf \u20ac\n".encode(), b"x" * 10_000 + b"\n"]


@contextmanager
def textbook(name: str) -> Iterator[tuple[str, int]]:
    """A server of the textbook, running; it ends with the block."""
    with Program(sys.executable, str(TEXTBOOK / f"{name}_server.py")) as program:
        yield "127.0.0.1", int(program.wait_for(r"^(\d+)\n", stdout=True)[1])


def client(name: str, server: sl.Address, given: bytes) -> bytes:
    """What a client of the textbook prints when it is given this to read."""
    command = [sys.executable, str(TEXTBOOK / f"{name}_client.py"), server.host, str(server.port)]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=True).stdout


# Their servers, our clients


@pytest.mark.parametrize("server", ECHO_SERVERS)
def test_lines_there_and_back(server: str) -> None:
    with textbook(server) as target, sl.connect(target, timeout=DEADLINE) as conn:
        conn.timeout = DEADLINE
        for line in LINES:
            conn.sendall(line)
            assert conn.recv_line() == line
        conn.shutdown("send")
        assert conn.recv_all() == b""


def say_all(conn: sl.Connection, data: bytes) -> None:
    conn.sendall(data)
    conn.shutdown("send")


@pytest.mark.parametrize("server", ECHO_SERVERS)
def test_a_megabyte_while_both_send(server: str) -> None:
    sent = b"".join(b"%063d\n" % number for number in range(16_384))
    with textbook(server) as target, sl.connect(target, timeout=DEADLINE) as conn:
        conn.timeout = DEADLINE
        writer = threading.Thread(target=say_all, args=(conn, sent))
        writer.start()
        assert conn.recv_all() == sent
        writer.join()


@pytest.mark.parametrize("server", AT_ONCE)
def test_many_clients_at_once(server: str) -> None:
    with textbook(server) as target:
        conns = [sl.connect(target, timeout=DEADLINE) for _ in range(20)]
        for number, conn in enumerate(conns):
            conn.sendall(b"I am %d\n" % number)
        for number, conn in reversed(list(enumerate(conns))):
            assert conn.recv_line(timeout=DEADLINE) == b"I am %d\n" % number
            conn.close()


def test_the_blocking_server_serves_the_second_after_the_first() -> None:
    with textbook("blocking_echo") as target, sl.connect(target) as first, sl.connect(target) as second:
        second.sendall(b"me too\n")
        first.sendall(b"me\n")
        assert first.recv_line(timeout=DEADLINE) == b"me\n"
        assert len(second.input_buffer) == 0, "it is connected, and nobody has accepted it"
        first.close()
        assert second.recv_line(timeout=DEADLINE) == b"me too\n"


@pytest.mark.parametrize("server", AT_ONCE)
def test_awaited_clients(server: str) -> None:
    async def one(target: tuple[str, int], number: int) -> bytes:
        with await sl.aio.connect(target) as conn:
            await conn.aio.sendall(b"%d\n" % number)
            return await conn.aio.recv_line()

    async def all_of(target: tuple[str, int]) -> list[bytes]:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.gather(*(one(target, number) for number in range(20)))

    with textbook(server) as target:
        assert asyncio.run(all_of(target)) == [b"%d\n" % number for number in range(20)]


# Their clients, our servers

HANDLERS: dict[str, Callable[[], Any]] = {
    "threads": lambda: echo,
    "lines in threads": lambda: echo_lines,
    "async": lambda: echo_async,
    "Echo": sl.Echo,
    "LineEcho": sl.LineEcho,
    "OnMessage": lambda: sl.OnMessage(lambda _, line: line),
}


async def echo_async(conn: sl.Connection) -> None:
    while data := await conn.aio.recv(4096):
        await conn.aio.sendall(data)


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", ["blocking_echo", "makefile_echo", "asyncio_echo"])
def test_a_client_gets_its_lines_back(name: str, handler: str) -> None:
    given = b"".join(LINES) * 5
    with serving(HANDLERS[handler]()) as server:
        assert client(name, server.local_addr, given) == given


def test_one_at_a_time_serves_them_all() -> None:
    with serving(echo, mode="one") as server:
        for _ in range(3):
            assert client("blocking_echo", server.local_addr, b"hello\n") == b"hello\n"
        assert server.accepted == 3


# JSON with its length in front


def test_our_client_asks_their_server_of_json() -> None:
    with textbook("json") as target, sl.connect(target, timeout=DEADLINE) as conn:
        conn.timeout = DEADLINE
        for numbers in ([1, 2, 3], [], list(range(20_000))):
            conn.send_frame(json.dumps({"add": numbers, "note": "\u20ac"}).encode(), prefix=4)
            assert json.loads(conn.recv_frame(prefix=4)) == {"sum": sum(numbers), "note": "\u20ac"}


def add(conn: sl.Connection) -> None:
    try:
        while True:
            question = json.loads(conn.recv_frame(prefix=4))
            conn.send_frame(json.dumps({"sum": sum(question["add"])}).encode(), prefix=4)
    except sl.IncompleteReadError as end:
        if end.partial:
            raise


@pytest.mark.parametrize("mode", ["threads", "one"])
def test_their_client_asks_our_server_of_json(mode: str) -> None:
    with serving(add, mode=mode) as server:
        assert client("json", server.local_addr, b"1 2 3\n\n40 2\n") == b"6\n0\n42\n"


# HTTP/1.1: keep-alive and upload, with curl and with the server of the standard library


def head_of(conn: sl.Connection) -> tuple[str, str, dict[str, str]] | None:
    """Method, path and fields of a request (RFC 9112), or None when the client has finished."""
    head = conn.recv_until(b"\r\n\r\n").decode("latin-1")
    if not head:
        return None
    request, *fields = head.rstrip("\r\n").split("\r\n")
    method, path, _ = request.split(" ")
    return method, path, {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}


def body_of(conn: sl.Connection, fields: dict[str, str]) -> bytes:
    """The body: of a given length, or in chunks."""
    if fields.get("expect", "").lower() == "100-continue":
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if fields.get("transfer-encoding") != "chunked":
        return conn.recv_exactly(length) if (length := int(fields.get("content-length", "0"))) else b""
    body = b""
    while size := int(conn.recv_line().split(b";")[0], 16):
        body += conn.recv_exactly(size)
        conn.recv_until(b"\r\n")
    conn.recv_until(b"\r\n")
    return body


class Shelf:
    """A small HTTP server: PUT keeps a document, GET gives it, anything else is not found."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {"/": b"hello\n"}

    def __call__(self, conn: sl.Connection) -> None:
        while (request := head_of(conn)) is not None:
            method, path, fields = request
            body = body_of(conn, fields)
            if method == "PUT":
                self.documents[path] = body
                status, answer = "201 Created", b""
            elif path in self.documents:
                status, answer = "200 OK", self.documents[path]
            else:
                status, answer = "404 Not Found", b"nothing here\n"
            conn.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\n\r\n".encode())
            if method != "HEAD":
                conn.sendall(answer)


def curl(*arguments: str, given: bytes = b"") -> bytes:
    command = [need("curl"), "-sS", "--max-time", "30", *arguments]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=True).stdout


def test_curl_keeps_its_connection_for_several_requests() -> None:
    with serving(Shelf()) as server:
        there, away = f"http://{server.local_addr}/", f"http://{server.local_addr}/away"
        told = curl("-w", "%{http_code} %{num_connects}\n", there, away, there)
        assert told == b"hello\n200 1\nnothing here\n404 0\nhello\n200 0\n"
        assert curl("--head", "-w", "%{http_code}", "-o", "/dev/null", there) == b"200"
        assert server.accepted == 2


@pytest.mark.parametrize("chunked", [False, True], ids=["of a given length", "in chunks"])
def test_curl_uploads_and_gets_it_back(chunked: bool, tmp_path: Path) -> None:
    document = stream(7, 3_000_000)
    (tmp_path / "document").write_bytes(document)
    upload = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    with serving(shelf := Shelf()) as server:
        url = f"http://{server.local_addr}/document"
        given = ["-H", "Expect: 100-continue", *upload, "-T", str(tmp_path / "document"), "-w", "%{http_code}", url]
        assert curl(*given) == b"201"
        assert shelf.documents["/document"] == document
        assert curl(url) == document


class Pages(BaseHTTPRequestHandler):
    """Gives back the path, and what was sent to it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.path.encode() + b" " + self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing on stderr."""


def test_our_client_keeps_its_connection_to_the_standard_librarys_server() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        serving_thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving_thread.start()
        host, port = str(server.server_address[0]), server.server_address[1]
        with sl.connect(host, port, timeout=DEADLINE) as conn:
            conn.timeout = DEADLINE
            for number in range(3):
                body = b"%d" % number * 10_000
                conn.sendall(b"POST /%d HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % (number, len(body)))
                conn.sendall(body)
                assert conn.recv_line().startswith(b"HTTP/1.1 200")
                fields = dict(line.split(b": ", 1) for line in conn.recv_until(b"\r\n\r\n").strip().split(b"\r\n"))
                assert conn.recv_exactly(int(fields[b"Content-Length"])) == b"/%d " % number + body
        server.shutdown()
        serving_thread.join()


# A protocol of lines, spoken by people at netcat and telnet


def guess(conn: sl.Connection) -> None:
    """Guess a number: a dialogue of lines that end as terminals and telnet end them, with CR LF or LF."""
    conn.sendall(b"a number from 1 to 9?\r\n")
    for line in conn.lines(keep_end=False):
        word = line.strip()
        if not word.isdigit():
            conn.sendall(b"a number, please\r\n")
        elif int(word) == 6:
            conn.sendall(b"yes, goodbye\r\n")
            return
        else:
            conn.sendall(b"more\r\n" if int(word) < 6 else b"less\r\n")


@pytest.mark.parametrize("name", ["nc", "telnet"])
def test_somebody_plays_at_a_terminal(name: str) -> None:
    with serving(guess) as server, Program(need(name), server.local_addr.host, str(server.local_addr.port)) as player:
        player.wait_for("from 1 to 9", stdout=True)
        for typed, answer in (("seven", "a number, please"), ("7", "less"), ("5", "more"), ("6", "yes, goodbye")):
            player.feed(f"{typed}\n".encode())
            player.wait_for(answer, stdout=True)
        eventually(lambda: not server.clients, what="the end of the game")


def test_our_client_talks_to_somebody_at_netcat() -> None:
    with sl.listen() as free:
        port = free.local_addr.port
    with Program(need("nc"), "-v", "-l", "127.0.0.1", str(port)) as nc:
        nc.wait_for("[Ll]istening")
        with sl.connect("127.0.0.1", port, timeout=DEADLINE) as conn, client_lines(conn) as ask:
            nc.feed(b"what is your name?\n")
            assert ask() == b"what is your name?\n"
            conn.sendall(b"socklens\n")
            nc.wait_for("socklens", stdout=True)
            nc.end_input()
        assert nc.ended() == 0


@contextmanager
def client_lines(conn: sl.Connection) -> Iterator[Callable[[], bytes]]:
    """Lines as they come; at the end our side finishes too."""
    yield lambda: conn.recv_line(timeout=DEADLINE)
    conn.shutdown("send")
    assert conn.recv_all(timeout=DEADLINE) == b""
