"""The promise: clients that nobody here wrote get right answers from handlers that do no more than their protocol asks for."""

from __future__ import annotations

import subprocess
import urllib.request

import pytest
import socklens as sl
from helpers import need
from serving import echo_lines, serving

pytestmark = pytest.mark.usefixtures("no_leaks")
PAGE = b"<p>hello</p>\n"


def http(conn: sl.Connection) -> None:
    """One request, one answer, then the end (RFC 9112)."""
    head = conn.recv_until(b"\r\n\r\n")
    method, path, _ = head.split(b" ", 2)
    body = PAGE if path == b"/" else b"nothing here\n"
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")), 0
    )
    if method == b"POST":
        body = conn.recv_exactly(length)[::-1]
    status = b"200 OK" if path == b"/" else b"404 Not Found"
    conn.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body))


def run(*command: str, given: bytes = b"") -> bytes:
    return subprocess.run(command, input=given, capture_output=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("handler", [echo_lines, sl.LineEcho()], ids=["python", "rust"])
def test_netcat(handler: object) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(1000))
    nc = need("nc")
    with serving(handler) as server:
        host, port = server.local_addr
        assert run(nc, "-N", host, str(port), given=lines) == lines


@pytest.mark.parametrize("mode", ["threads", "one"])
def test_curl(mode: str) -> None:
    curl = need("curl")
    with serving(http, mode=mode) as server:
        url = f"http://{server.local_addr}"
        assert run(curl, "-sS", f"{url}/") == PAGE
        assert run(curl, "-sS", "-o", "-", "-w", "%{http_code}", f"{url}/elsewhere") == b"nothing here\n404"
        data = bytes(range(1, 256)) * 4000
        assert run(curl, "-sS", "--data-binary", "@-", f"{url}/", given=data) == data[::-1]
        parallel = [f"{url}/"] * 50
        assert run(curl, "-sS", "--parallel", *parallel) == PAGE * 50


def test_urllib() -> None:
    with serving(http) as server, urllib.request.urlopen(f"http://{server.local_addr}/", timeout=20) as answer:
        assert (answer.status, answer.read()) == (200, PAGE)
