"""The check of a small HTTP server: GET of what is there and of what is not, with a head and a length that a browser understands."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._door import door
from ._battery import Battery, Steps
from ._check import TIMEOUT, Check
from ._diagnose import because, never_closes, no_answer
from ._failure import Failed, Missed, What
from ._result import Mistake, Result
from ._target import Kind, Target

if TYPE_CHECKING:
    from ._check import Stage
    from ._peer import Peer

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})( [^\r\n]*)?")
_LONGEST_HEAD = 64 << 10
_LONGEST_BODY = 64 << 20


@dataclass(frozen=True)
class _Answer:
    status: int
    head: bytes
    body: bytes
    length: int | None


class _HttpServer(Battery):
    unit = "request"

    def __init__(self, check: Check, pages: Mapping[str, bytes | None], missing: str, concurrent: bool) -> None:
        super().__init__(check, concurrent)
        self._pages = list(pages.items())
        self._missing = missing

    def steps(self) -> Steps:
        steps: Steps = [(f"answers GET {path} with 200", self._page(path, body)) for path, body in self._pages]
        return [
            *steps,
            (f"answers GET {self._missing} with 404", self.not_there),
            ("closes the connection when it is asked to", self.closes),
            ("reads a request that comes in pieces", self.pieces),
            *self.crowd_steps(),
        ]

    def _page(self, path: str, body: bytes | None) -> Callable[[Stage], None]:
        def page(step: Stage) -> None:
            peer = self.client()
            try:
                peer.send(_get(path))
                self._right(self._answer(peer), 200, path, body)
            except Missed as missed:
                raise no_answer(self.check, missed) from None

        return page

    def _right(self, answer: _Answer, status: int, path: str, body: bytes | None) -> None:
        if answer.status != status:
            there = "is there" if status == 200 else "is not there"
            raise Failed(
                f"{path} {there}, and the answer to GET {path} has the status {answer.status}",
                Mistake.HTTP_STATUS,
                expected=f"{status}",
                actual=answer.head.split(b"\n")[0].strip(),
            )
        if body is not None and answer.body != body:
            raise Failed(
                f"the body of the answer to GET {path} is not what it should be", expected=body, actual=answer.body
            )

    def request(self, number: int) -> bytes:
        return _get(self._pages[number % len(self._pages)][0])

    def receive(self, peer: Peer, number: int, seconds: float | None = None) -> None:
        path, body = self._pages[number % len(self._pages)]
        self._right(self._answer(peer, seconds), 200, path, body)

    def _next_asker(self, peer: Peer) -> Peer:
        return peer if not peer.conn.totals.sent else self.client("the fast client")

    def greet(self, peer: Peer, seconds: float | None = None) -> None:
        """A server of pages says nothing first."""

    # -- reading an answer

    def _answer(self, peer: Peer, seconds: float | None = None) -> _Answer:
        deadline = time.monotonic() + min(peer.seconds_left, seconds or peer.seconds_left)
        wanted = "a head that ends with an empty line"
        got = b""
        while b"\r\n\r\n" not in got:
            try:
                got += peer.take(wanted, got, deadline - time.monotonic())
            except Missed as missed:
                raise self._no_head(missed, got) from None
            if len(got) > _LONGEST_HEAD:
                raise Failed("its answer has no head that ends", expected=wanted, actual=got)
        head, _, body = got.partition(b"\r\n\r\n")
        status = _STATUS.fullmatch(head.split(b"\r\n")[0])
        if status is None:
            raise Failed("its answer does not begin with a status line", expected=b"HTTP/1.1 200 OK\r\n", actual=head)
        if b"\n" in head.replace(b"\r\n", b""):
            raise Failed(
                "a line of its head ends with \\n alone", Mistake.HTTP_LINE_ENDS, expected=b"\r\n", actual=head
            )
        told = re.search(rb"(?i)\r\ncontent-length:[ \t]*([^\r]*)", head)
        if told is not None and not told[1].strip().isdigit():
            raise Failed("its Content-Length is no number", Mistake.HTTP_LENGTH, expected="a number", actual=told[1])
        length = None if told is None else int(told[1])
        body = self._body(peer, head, body, length, deadline)
        return _Answer(int(status[1]), head, body, length)

    def _no_head(self, missed: Missed, got: bytes) -> Failed:
        if not got:
            return missed
        if b"\n\n" in got or (b"\n" in got and b"\r\n" not in got):
            return because(missed, "the lines of its head end with \\n alone", Mistake.HTTP_LINE_ENDS)
        if not got.startswith(b"HTTP/"):
            return because(missed, "it sent no status line and no head, as if the page were all of the answer")
        return because(missed, "the empty line at the end of its head did not come", Mistake.HTTP_LINE_ENDS)

    def _body(self, peer: Peer, head: bytes, body: bytes, length: int | None, deadline: float) -> bytes:
        while length is None or len(body) < length:
            if len(body) > _LONGEST_BODY:
                raise Failed(
                    f"its answer has no end: {len(body):,} bytes came",
                    expected="the end of the body",
                    actual=body[:256],
                )
            try:
                body += peer.take("the body", body, deadline - time.monotonic())
            except Missed as missed:
                if missed.what is What.END and length is None:
                    return body
                if length is None:
                    raise because(
                        missed,
                        "it did not say how long the body is, and did not close the connection after it: nobody can know where it ends",
                        Mistake.NEVER_CLOSES if missed.what is What.NOTHING else None,
                    ) from None
                said = f"Content-Length said {length:,} bytes, and {len(body):,} came"
                failure = because(missed, said, Mistake.HTTP_LENGTH)
                failure.expected, failure.actual = f"{length:,} bytes", body
                raise failure from None
        more = body[length:] or peer.more(0.05)
        if more:
            raise Failed(
                f"Content-Length said {length:,} bytes, and more came",
                Mistake.HTTP_LENGTH,
                expected=f"{length:,} bytes",
                actual=body[:length] + more,
            )
        return body

    # -- steps

    def not_there(self, step: Stage) -> None:
        """404, with a body that ends."""
        peer = self.client()
        try:
            peer.send(_get(self._missing))
            self._right(self._answer(peer), 404, self._missing, None)
        except Missed as missed:
            raise no_answer(self.check, missed, "a page that is there was sent") from None

    def closes(self, step: Stage) -> None:
        """Connection: close (RFC 9112 section 9.6)."""
        peer = self.client()
        peer.send(self.request(0))
        self.receive(peer, 0)
        try:
            peer.expect_end(3.0)
        except Missed as missed:
            peer.finish()
            raise never_closes(
                self.check, missed, peer, "the request said Connection: close, and the answer came"
            ) from None

    def pieces(self, step: Stage) -> None:
        """With a border inside the request line, and one inside the empty line at the end."""
        peer = self.client()
        request = self.request(0)
        for start, end in ((0, 6), (6, len(request) - 2)):
            peer.deliver(request[start:end])
            reaction = peer.reaction(0.2)
            if reaction:
                what = "it answered" if isinstance(reaction, bytes) else "it closed the connection"
                failure = Failed(
                    f"the first {end} bytes of a request had come, and not its end, and {what}",
                    Mistake.RECV_IS_A_MESSAGE,
                    expected="nothing before the empty line that ends the head",
                    actual=reaction if isinstance(reaction, bytes) else reaction.value,
                )
                failure.peer = peer
                raise failure
        try:
            peer.send(request[-2:])
            self.receive(peer, 0)
        except Missed as missed:
            raise self._in_pieces(missed, "a request in one piece was answered, but not one in three pieces") from None

    def _in_pieces(self, missed: Missed, before: str) -> Failed:
        """A request in one piece was answered: the pieces are the only difference."""
        return because(missed, before, Mistake.RECV_IS_A_MESSAGE)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def http_server(
    target: Target,
    pages: Mapping[str, bytes | None] | None = None,
    *,
    missing: str = "/there-is-no-such-page",
    concurrent: bool = True,
    timeout: float = TIMEOUT,
    kind: Kind | None = None,
) -> Result:
    """Checks a server of static pages: GET, 200 and 404, a head with proper line ends, a body of the length that it says.

        sl.check.http_server(serve, {"/": b"<h1>Hello</h1>", "/notes.txt": None})

    Args:
        target: the program: see `socklens.check`.
        pages: the paths that are there, and the bodies they have to have; None for any body. Left out: "/", with any.
        missing: a path that is not there.
        concurrent: whether it has to serve several clients at the same time; False for a server that serves one after the other.
        timeout: seconds for the whole check, which starts and ends the program.
        kind: how a function is used: ``"program"``, ``"handler"`` or ``"socket handler"``. Left out: told from its parameters.

    Returns:
        A `Result`, which is true if the server passed. Its faults are told there, and never raised.

    Raises:
        TypeError, ValueError: the target can be none; a page, a path or the timeout is none. KeyboardInterrupt: yours; all is cleaned up
            then.
    """
    with door:
        if pages is not None and not isinstance(pages, Mapping):
            raise TypeError(f"pages are a dictionary, as in {{'/': None}} or {{'/': b'<h1>Hello</h1>'}}, not {pages!r}")
        wanted = {"/": None} if pages is None else dict(pages)
        if not wanted:
            raise ValueError("pages: at least one path, as in {'/': b'<h1>Hello</h1>'}")
        for path in (*wanted, missing):
            if not isinstance(path, str) or not re.fullmatch(r"/[!-~]*", path):
                raise ValueError(f"a path begins with / and has no spaces, as in '/notes.txt'; {path!r} does not")
        for body in wanted.values():
            if body is not None and not isinstance(body, bytes):
                raise TypeError(f"a page's body is bytes or None, not {type(body).__name__}")
        check = Check("HTTP server", target, timeout=timeout, kind=kind)
    with check:
        _HttpServer(check, wanted, missing, concurrent).run()
    return check.result
