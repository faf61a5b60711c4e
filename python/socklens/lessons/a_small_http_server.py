"""The exercises and predictions of the notebook on a small HTTP server, and the client that its cells ask with. Every check speaks HTTP
over real sockets, takes a few seconds at most, and closes what it opened.
"""

from __future__ import annotations

import html
import http.client
from contextlib import closing
from dataclasses import dataclass

import socklens as sl

from .bounded import run, value_of, waiting_place
from .drawing import box
from .exercise import Exercise, NotAttempted, Wrong
from .judging import callable_, kind, until
from .pieces import Pieces
from .prediction import Prediction

__all__ = ["fetch", "how_many", "link", "no_length", "read_request", "response", "serve"]

SECONDS = 2.0  # the longest that one call of a student's function, or one answer, may take
_LF = repr(b"\n")
_CRLF = repr(b"\r\n")
_BLANK = repr(b"\r\n\r\n")


@dataclass(frozen=True)
class Answer:
    """What :func:`fetch` got: the status and its words, the header fields, and the body as bytes."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        fields = [f"{name}: {value}" for name, value in self.headers]
        return "\n".join([f"{self.status} {self.reason}", *fields, "", self.body.decode(errors="backslashreplace")])


def fetch(address: sl.Address, path: str = "/", *, timeout: float = 5.0) -> Answer:
    """Get one page as a browser does, on a connection of its own, with http.client from the standard library.

    Raises:
        TimeoutError: the answer, or the rest of it, did not come within so many seconds.
        http.client.HTTPException: what came was no HTTP, or ended too early.
    """
    with closing(http.client.HTTPConnection(address.host, address.port, timeout=timeout)) as client:
        client.request("GET", path)
        return _answer(client.getresponse())


def _answer(came: http.client.HTTPResponse) -> Answer:
    with came:
        return Answer(came.status, came.reason, tuple(came.getheaders()), came.read())


@dataclass(frozen=True)
class Link:
    """A link to a server; in a notebook it can be clicked."""

    url: str

    def __repr__(self) -> str:
        return f"Open {self.url} in a browser on this machine."

    def _repr_html_(self) -> str:
        shown = html.escape(self.url)
        return box(
            "hint", f'Open <a href="{shown}" target="_blank" rel="noopener">{shown}</a> in a browser on this machine.'
        )


def link(address: sl.Address) -> Link:
    """A link to the first page of the server at this address."""
    return Link(f"http://{address}/")


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _what_came(outcome: Answer | BaseException) -> str:
    if isinstance(outcome, Answer):
        return "a"
    return "b" if isinstance(outcome, TimeoutError) else "c"


no_length = Prediction(
    "no_length",
    question="The answer is `hello`, without a length, and the server keeps the connection open. What does the client do?",
    choices={"a": "it shows hello", "b": "it waits for more", "c": "it fails at once"},
    observe=_what_came,
    why="Without Content-Length the body ends where the stream ends (RFC 9112, section 6.3). A client cannot know that `hello` was all.",
)


def _connections(before: int, after: int) -> str:
    return {1: "a", 2: "b"}[after - before]


how_many = Prediction(
    "how_many",
    question="A client gets two pages from this server, one after the other. How many connections is that?",
    choices={"a": "one", "b": "two"},
    observe=_connections,
    why="The handler returns after one answer, and that closes the connection: each request needs another handshake.",
)


# ── read_request: the head of a request, and its first line ───────────────────────────────────────────────────────────

_HEADS = (
    (b"GE", b"T /index.html HTTP/1.1\r\nHo", b"st: 127.0.0.1\r", b"\nAccept: */*\r\n\r", b"\n"),
    (b"HEAD /pictures/cat.png HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"\r\n"),
)
_REQUESTS = (("GET", "/index.html"), ("HEAD", "/pictures/cat.png"))


def _judge_read_request(function: object) -> str:
    called = callable_(function)
    client, server = sl.pair()
    with client, server:
        for head, right in zip(_HEADS, _REQUESTS, strict=True):
            with Pieces(client, server, head, seconds=SECONDS) as sender:
                result = run(called, server, seconds=SECONDS, release=server.close)
                if result.hung:
                    raise Wrong(_why_it_waits(sender, waiting_place(result)))
                _compare_request(value_of(result), right)
                if server.closed:
                    raise Wrong(
                        "Your function closed the connection. The answer has to be sent on it, and the next request comes."
                    )
                if not until(lambda sender=sender: sender.all_delivered, 1.0):  # type: ignore[misc]
                    raise Wrong(
                        f"Your function has `{right[0]} {right[1]}`, but returned before the head was over: it ends with `{_BLANK}`. "
                        "What it left in the connection would be taken for the next request."
                    )
    return "Two requests on one connection, in seven pieces, and each time you read the head to its end."


def _why_it_waits(sender: Pieces, place: str) -> str:
    late = f"Your function had not returned after {SECONDS:g} seconds{place}."
    if sender.all_delivered:
        return f"{late} The head is over at `{_BLANK}`. The client now waits for its answer, and sends nothing more."
    return f"{late} The client had more to send, and your function did not take it."


def _compare_request(answer: object, right: tuple[str, str]) -> None:
    told = f"The request was `{' '.join(right)}`, but your function returned"
    if answer is None:
        raise Wrong(f"{told} None.")
    if not isinstance(answer, tuple | list):
        raise Wrong(f"{told} {kind(answer)}. Return two texts: `method, path`.")
    if tuple(answer) == right:
        return
    if len(answer) == 3:
        raise Wrong(f"{told} three parts. The version is the third; return `method, path`.")
    if any(isinstance(part, bytes | bytearray) for part in answer):
        raise Wrong(f"{told} bytes, `{tuple(answer)!r}`. `.decode()` makes text of the head.")
    if len(answer) == 2 and answer[0] != right[0] and right[0].startswith(str(answer[0])):
        raise Wrong(f"{told} `{tuple(answer)!r}`. One `recv` is not a head: read until `{_BLANK}` has come.")
    raise Wrong(f"{told} `{tuple(answer)!r}`.")


read_request = Exercise(
    "read_request",
    expects=("read_request",),
    hint="`conn.recv_until` takes everything up to a separator. `.decode()` makes text of it, `.split()` cuts text at white space.",
    solution="""
def read_request(conn):
    head = conn.recv_until(b"\\r\\n\\r\\n").decode()
    method, path, version = head.split("\\r\\n")[0].split()
    return method, path
""",
    judge=_judge_read_request,
)


# ── response: status line, length, empty line, body ───────────────────────────────────────────────────────────────────

_PAGE = "<h1>Grüße</h1>"
_BODIES = (("200 OK", _PAGE), ("404 Not Found", "<p>nothing here</p>"), ("200 OK", ""))


def _judge_response(function: object) -> str:
    called = callable_(function)
    for status, page in _BODIES:
        result = run(called, status, page, seconds=SECONDS, release=lambda: None)
        if result.hung:
            raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
        answer = value_of(result)
        if not isinstance(answer, bytes | bytearray):
            text = " Text becomes bytes with `.encode()`." if isinstance(answer, str) else ""
            raise Wrong(f"Your function returned {'None' if answer is None else kind(answer)}, not bytes.{text}")
        _look_at(bytes(answer), status, page)
        _send_it(bytes(answer), status, page)
    return "Three answers, and the client had each of them whole while the connection was still open."


def _look_at(answer: bytes, status: str, page: str) -> None:
    """Names what is wrong with the bytes themselves."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    first = head.split(b"\n")[0].rstrip(b"\r").decode(errors="backslashreplace")
    if first not in (f"HTTP/1.1 {status}", f"HTTP/1.0 {status}"):
        raise Wrong(f"The first line is `{first}`. It should be `HTTP/1.1 {status}`.")
    if not blank:
        if b"\n\n" in answer and b"\r" not in answer:
            raise Wrong(f"Your lines end with `{_LF}`. In HTTP a line of the head ends with `{_CRLF}`.")
        raise Wrong(f"There is no empty line between head and body: after the last field comes `{_CRLF}`, twice.")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if b"content-length" not in fields:
        raise Wrong("There is no `Content-Length` in the head. The client would wait for the end of the stream.")
    said, right = fields[b"content-length"].decode(errors="backslashreplace"), page.encode()
    if said != str(len(right)):
        letters = " That is the number of letters; the client counts bytes." if said == str(len(page)) else ""
        raise Wrong(f"`Content-Length` says {said}, but the body `{page}` has {len(right)} bytes.{letters}")
    if body != right:
        raise Wrong(f"After the empty line comes `{body[:40]!r}`, not the body `{right[:40]!r}`.")


def _send_it(answer: bytes, status: str, page: str) -> None:
    def send(conn: sl.Connection) -> None:
        conn.recv_until(b"\r\n\r\n", timeout=SECONDS)
        conn.sendall(answer, timeout=SECONDS)
        conn.recv(1, timeout=2 * SECONDS)  # open until the client leaves

    with sl.Server(send) as server:
        try:
            came = fetch(server.local_addr, timeout=SECONDS)
        except (OSError, http.client.HTTPException) as error:
            raise Wrong(f"A client could not read it: {type(error).__name__}: {error}") from None
        finally:
            server.stop(0)
    if f"{came.status} {came.reason}" != status or came.body != page.encode():
        raise Wrong(f"A client read `{came.status} {came.reason}` and `{came.body[:40]!r}`.")


response = Exercise(
    "response",
    expects=("response",),
    hint=(
        f"First `body = page.encode()`, then the head with `len(body)` in it. Each line of the head ends with `{_CRLF}`, and an empty "
        "line ends the head."
    ),
    solution="""
def response(status, page):
    body = page.encode()
    head = (
        f"HTTP/1.1 {status}\\r\\n"
        "Content-Type: text/html; charset=utf-8\\r\\n"
        f"Content-Length: {len(body)}\\r\\n"
        "\\r\\n"
    )
    return head.encode() + body
""",
    judge=_judge_response,
)


# ── serve: one request after the other on one connection ──────────────────────────────────────────────────────────────

_PAGES = {"/": "<h1>Grüße</h1>", "/about": "<p>about</p>"}
_VISITS = (("/", 200), ("/about", 200), ("/nowhere", 404), ("/", 200))


def _judge_serve(function: object) -> str:
    called = callable_(function)
    returned: list[object] = []
    with sl.Server(lambda conn: returned.append(called(conn, dict(_PAGES)))) as server:
        try:
            client = http.client.HTTPConnection(server.local_addr.host, server.local_addr.port, timeout=SECONDS)
            with closing(client):
                for number, (path, status) in enumerate(_VISITS):
                    _visit(client, path, status, number, server, returned)
            if not until(lambda: not server.clients, SECONDS / 2):
                raise Wrong(
                    "The client has left (FIN), but your function goes on for it. At the end of the stream `recv_until` returns "
                    f"`{b''!r}`: return then."
                )
            _no_errors(server, returned)
        finally:
            server.stop(0)
    return f"{len(_VISITS)} requests on one connection, one of them for a page that is not there, and then a clean end."


def _visit(
    client: http.client.HTTPConnection, path: str, status: int, number: int, server: sl.Server, returned: list[object]
) -> None:
    told = f"For `GET {path}`, request {number + 1} on this connection,"
    try:
        client.request("GET", path)
        came = _answer(client.getresponse())
    except TimeoutError:
        _no_errors(server, returned)
        raise Wrong(
            f"{told} no whole answer came within {SECONDS:g} seconds. Is the length in the head that of the body, in bytes?"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        until(lambda: server.errors or returned, 0.5)
        _no_errors(server, returned)
        if number and isinstance(error, OSError):
            raise Wrong(
                f"{told} the connection was closed already. After an answer, wait for the next request, until the client has finished."
            ) from None
        raise Wrong(f"{told} the client got no HTTP answer: {type(error).__name__}: {error}") from None
    if came.status != status:
        raise Wrong(f"{told} the status is {came.status}; it should be {status}.")
    if status == 200 and came.body != _PAGES[path].encode():
        raise Wrong(_other_page(told, came.body, _PAGES[path]))
    if client.sock is None:
        raise Wrong(
            f"{told} your answer says that the connection will be closed (`Connection: close`, or HTTP/1.0). Leave it open for more."
        )


def _other_page(told: str, body: bytes, page: str) -> str:
    if len(body) == len(page) and page.encode().startswith(body):
        return f"{told} came `{body!r}`: `Content-Length` counts letters, and the client stopped there. Count bytes."
    return f"{told} came `{body[:60]!r}`, but the page is `{page.encode()!r}`."


def _no_errors(server: sl.Server, returned: list[object]) -> None:
    if ... in returned:
        raise NotAttempted
    if server.errors:
        error = server.errors[0].exception
        if isinstance(error, NotImplementedError):
            raise NotAttempted
        known = " Not every path is in `pages`: the answer is 404 then." if isinstance(error, KeyError) else ""
        raise Wrong(f"Your function raised {type(error).__name__}: {error}.{known}")


serve = Exercise(
    "serve",
    expects=("serve",),
    hint=(
        "A loop around what `site` does: `while head := conn.recv_until(…):` ends when the client finishes, because then it returns "
        f"`{b''!r}`."
    ),
    solution="""
def serve(conn, pages):
    while head := conn.recv_until(b"\\r\\n\\r\\n"):
        method, path, version = head.decode().split("\\r\\n")[0].split()
        if path in pages:
            status, body = "200 OK", pages[path].encode()
        else:
            status, body = "404 Not Found", b"<h1>Not found</h1>"
        answer = f"HTTP/1.1 {status}\\r\\nContent-Type: text/html; charset=utf-8\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
        conn.sendall(answer.encode() + body)
""",
    judge=_judge_serve,
)
