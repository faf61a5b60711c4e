"""The notebook on a small HTTP server: right answers pass, every mistake has a reason of its own, and none hangs a check; the client
that its cells ask with tells what came.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping

import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Exercise, Status
from socklens.lessons import a_small_http_server as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")

EXERCISES = [lesson.read_request, lesson.response, lesson.serve]
HEAD_END = b"\r\n\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.2)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_solutions_pass_and_placeholders_are_not_attempted(exercise: Exercise) -> None:
    for _ in range(2):
        outcome = exercise.check(solved(exercise)[exercise.name])
        assert outcome, outcome
    assert exercise.check(lambda *_: ...).status is Status.NOT_ATTEMPTED
    wrong(exercise.check(5), "Give the function itself")


# ── read_request ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(conn: sl.Connection) -> list[str]:
    return conn.recv_until(HEAD_END).decode().split("\r\n")


def _by_hand(conn: sl.Connection) -> list[str]:
    data = b""
    while HEAD_END not in data:
        data += conn.recv(1024)
    return data.decode().split()[:2]


def _line_by_line(conn: sl.Connection) -> tuple[str, str]:
    method, path, _ = conn.recv_line().decode().split()
    while conn.recv_line() != b"\r\n":
        pass
    return method, path


@pytest.mark.parametrize("answer", [_by_hand, _line_by_line])
def test_a_head_may_be_read_in_other_ways(answer: Callable[..., object]) -> None:
    assert lesson.read_request.check(answer)


def _one_recv(conn: sl.Connection) -> tuple[str, str]:
    parts = conn.recv(1024).decode().split()
    return parts[0], parts[1] if len(parts) > 1 else ""


def _first_line_only(conn: sl.Connection) -> tuple[str, ...]:
    return tuple(conn.recv_line().decode().split()[:2])


def _to_the_end(conn: sl.Connection) -> tuple[str, ...]:
    return tuple(conn.recv_all().decode().split()[:2])


def _closes(conn: sl.Connection) -> tuple[str, ...]:
    with conn:
        return tuple(_head(conn)[0].split()[:2])


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_one_recv, ["One `recv` is not a head"]),
        (_first_line_only, ["returned before the head was over"]),
        (_to_the_end, ["had not returned", "The client now waits for its answer"]),
        (_closes, ["closed the connection"]),
        (lambda conn: _head(conn)[0].split(), ["three parts"]),
        (lambda conn: conn.recv_until(HEAD_END).split()[:2], ["returned bytes"]),
        (lambda conn: _head(conn)[0], ["returned a str", "`method, path`"]),
        (lambda conn: _head(conn) and None, ["returned None"]),
        (lambda conn: _head(conn)[0].split()[1::-1], ["returned `('/index.html', 'GET')`"]),
        (lambda conn: ("GET", "/index.html"), ["returned before the head was over"]),
        (lambda conn: time.sleep(2), ["had more to send"]),
    ],
)
def test_read_request_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.read_request.check(answer), *reasons)
    assert time.monotonic() - begun < 6


# ── response ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _answer(status: str, page: str, *fields: str, end: str = "\r\n", body: bytes | None = None) -> bytes:
    head = "".join(line + end for line in (f"HTTP/1.1 {status}", *fields, ""))
    return head.encode() + (page.encode() if body is None else body)


def _length(page: str) -> str:
    return f"Content-Length: {len(page.encode())}"


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (lambda status, page: _answer(status, page), ["no `Content-Length`"]),
        (lambda status, page: _answer(status, page, f"Content-Length: {len(page)}"), ["number of letters"]),
        (lambda status, page: _answer(status, page, "Content-Length: 7"), ["says 7, but the body"]),
        (lambda status, page: _answer(status, page, _length(page), end="\n"), ["In HTTP a line of the head ends with"]),
        (lambda status, page: f"HTTP/1.1 {status}\r\n{_length(page)}\r\n{page}".encode(), ["There is no empty line"]),
        (lambda status, page: _answer(status, page, _length(page)).decode(), ["a str, not bytes", "`.encode()`"]),
        (lambda status, page: _answer("200 OK", page, _length(page)), ["It should be `HTTP/1.1 404 Not Found`"]),
        (lambda status, page: _answer(status, page, _length(page))[9:], ["The first line is `200 OK`"]),
        (lambda status, page: _answer(status, page, _length(page), body=b""), ["comes `b''`, not the body"]),
        (
            lambda status, page: _answer(status, page, _length(page), "Transfer-Encoding: chunked"),
            ["could not read it"],
        ),
        (lambda status, page: None, ["returned None"]),
        (lambda status, page: time.sleep(2), ["had not returned"]),
        (lambda status, page: page + 1, ["TypeError"]),
    ],
)
def test_response_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    wrong(lesson.response.check(answer), *reasons)


# ── serve ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

Pages = Mapping[str, str]


def _reply(conn: sl.Connection, head: bytes, pages: Pages, *fields: str, missing: str = "404 Not Found") -> None:
    page = pages.get(head.split()[1].decode())
    body = page or "nothing"
    conn.sendall(_answer("200 OK" if page else missing, body, *(fields or (_length(body),))))


def _each(**keywords: str) -> Callable[..., None]:
    def serve(conn: sl.Connection, pages: Pages) -> None:
        while head := conn.recv_until(HEAD_END):
            _reply(conn, head, pages, **keywords)

    return serve


def _one_request(conn: sl.Connection, pages: Pages) -> None:
    _reply(conn, conn.recv_until(HEAD_END), pages)


def _says_close(conn: sl.Connection, pages: Pages) -> None:
    while head := conn.recv_until(HEAD_END):
        _reply(conn, head, pages, "Connection: close", "Content-Length: 16")


def _counts_letters(conn: sl.Connection, pages: Pages) -> None:
    while head := conn.recv_until(HEAD_END):
        _reply(conn, head, pages, "Content-Length: 14")


def _without_length(conn: sl.Connection, pages: Pages) -> None:
    while head := conn.recv_until(HEAD_END):
        _reply(conn, head, pages, "Content-Type: text/html")


def _every_path_is_there(conn: sl.Connection, pages: Pages) -> None:
    while head := conn.recv_until(HEAD_END):
        body = pages[head.split()[1].decode()]
        conn.sendall(_answer("200 OK", body, _length(body)))


def _never_ends(conn: sl.Connection, pages: Pages) -> None:
    while True:
        head = conn.recv_until(HEAD_END)
        if head:
            _reply(conn, head, pages)


def _one_page_for_all(conn: sl.Connection, pages: Pages) -> None:
    while conn.recv_until(HEAD_END):
        conn.sendall(_answer("200 OK", pages["/"], _length(pages["/"])))


def _waits_for_more(conn: sl.Connection, pages: Pages) -> None:
    conn.recv_all()


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_one_request, ["request 2", "closed already"]),
        (_says_close, ["Leave it open for more"]),
        (_counts_letters, ["counts letters"]),
        (_without_length, ["no whole answer came"]),
        (_every_path_is_there, ["KeyError", "the answer is 404 then"]),
        (_each(missing="200 OK"), ["the status is 200; it should be 404"]),
        (_never_ends, ["goes on for it"]),
        (_one_page_for_all, ["request 2", "but the page is"]),
        (_waits_for_more, ["no whole answer came"]),
        (lambda conn, pages: None, ["got no HTTP answer"]),
        (lambda conn, pages: conn.sendall(b"hello"), ["got no HTTP answer"]),
        (lambda conn: None, ["TypeError"]),
    ],
)
def test_serve_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.serve.check(answer), *reasons)
    assert time.monotonic() - begun < 6


def test_serve_passes_with_other_words_for_what_is_missing() -> None:
    assert lesson.serve.check(_each(missing="404 Gone For Good"))


# ── predictions, and what the cells use ───────────────────────────────────────────────────────────────────────────────


def test_fetch_tells_status_fields_and_body() -> None:
    with sl.Server(lambda conn: conn.sendall(_answer("404 Not Here", "zoë", "X-Told: yes", _length("zoë")))) as server:
        answer = lesson.fetch(server.local_addr, "/x")
    assert (answer.status, answer.reason, answer.body) == (404, "Not Here", "zoë".encode())
    assert repr(answer) == "404 Not Here\nX-Told: yes\nContent-Length: 4\n\nzoë"


def test_what_came_is_compared_with_the_prediction() -> None:
    def no_length(conn: sl.Connection) -> None:
        conn.recv_until(HEAD_END)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        conn.recv(1)

    outcome: lesson.Answer | BaseException
    with sl.Server(no_length) as server:
        try:
            outcome = lesson.fetch(server.local_addr, timeout=0.3)
        except TimeoutError as error:
            outcome = error
    assert "Seen: it waits for more" in repr(lesson.no_length.compare(outcome))
    assert "Seen: it fails at once" in repr(lesson.no_length.compare(http.client.HTTPException()))
    assert "Seen: two" in repr(lesson.how_many.compare(3, 5))
    assert "Seen: one" in repr(lesson.how_many.compare(3, 4))


def test_a_link_can_be_clicked_and_read() -> None:
    link = lesson.link(sl.Address("127.0.0.1", 8000))
    assert "http://127.0.0.1:8000/" in repr(link)
    assert '<a href="http://127.0.0.1:8000/"' in link._repr_html_()
