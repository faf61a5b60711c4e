"""The checks and predictions of the notebook on failing connections: a right answer passes, every mistake has a reason of its own, none
hangs a check or leaves anything open.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Callable
from typing import Any

import helpers
import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Exercise, Status
from socklens.lessons import when_connecting_fails as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")

linux = pytest.mark.skipif(sys.platform != "linux", reason="how Linux's accept queue behaves")
short = pytest.fixture(lambda monkeypatch: monkeypatch.setattr(lesson, "SECONDS", 2.5), name="short")


@pytest.mark.parametrize("exercise", [lesson.reach, lesson.keep_trying], ids=lambda exercise: exercise.name)
def test_solutions_pass_and_placeholders_are_not_attempted(exercise: Exercise) -> None:
    outcome = exercise.check(solved(exercise)[exercise.name])
    assert outcome, outcome
    assert repr(exercise.hint()).startswith("Hint: ")
    assert exercise.check(...).status is Status.NOT_ATTEMPTED
    assert exercise.check(lambda *_: ...).status is Status.NOT_ATTEMPTED
    wrong(exercise.check("connected"), "Give the function itself")
    wrong(exercise.check(lambda: None), "TypeError")


# ── reach ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_the_standard_library(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timed out"
    except socket.gaierror:
        return "no such name"
    return "connected"


def _by_number(host: str, port: int) -> str:
    try:
        with sl.connect(host, port, timeout=1) as conn:
            conn.send(b"hello")
    except OSError as error:
        words = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timed out"}
        return words.get(error.errno or 0, "no such name")
    return "connected"


@pytest.mark.parametrize("function", [_by_the_standard_library, _by_number])
def test_other_ways_to_tell_what_happened(function: Callable[[str, int], object]) -> None:
    outcome = lesson.reach.check(function)
    assert outcome, outcome


def _catches(*kinds: type[BaseException], words: dict[type[BaseException], str]) -> Callable[[str, int], str]:
    def reach(host: str, port: int) -> str:
        try:
            with sl.connect(host, port, timeout=0.5):
                return "connected"
        except kinds as error:
            return next(word for kind, word in words.items() if isinstance(error, kind))

    return reach


_REFUSED, _LATE, _NAMELESS = ConnectionRefusedError, TimeoutError, socket.gaierror
_open: list[sl.Connection] = []


def _close_all() -> None:
    while _open:
        _open.pop().close()


def _left_open(host: str, port: int) -> str:
    try:
        _open.append(sl.connect(host, port, timeout=0.5))
    except _REFUSED:
        return "refused"
    except _NAMELESS:
        return "no such name"
    except _LATE:
        return "timed out"
    return "connected"


def _guesses(host: str, port: int) -> str:
    try:
        with sl.connect(host, port, timeout=0.5):
            return "connected"
    except OSError as error:
        return str(error)


def _never_connects(host: str, port: int) -> str:
    if " " in host:
        return "no such name"
    return "connected" if sl.ports(port, state="LISTEN") else "refused"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_catches(OSError, words={OSError: "refused"}), "Nobody was asked"),
        (_catches(OSError, words={_NAMELESS: "no such name", OSError: "refused"}), "Silence is no refusal"),
        (_catches(OSError, words={_NAMELESS: "no such name", OSError: "timed out"}), "A refusal is an answer"),
        (_catches(_REFUSED, _LATE, words={_REFUSED: "refused", _LATE: "timed out"}), "your function raised gaierror"),
        (
            _catches(_REFUSED, _NAMELESS, words={_REFUSED: "refused", _NAMELESS: "no such name"}),
            "your function raised TimeoutError: [Errno 110]" if sys.platform == "linux" else "TimeoutError",
        ),
        (_catches(words={}), 'It should catch that, and return `"refused"`'),
        (_left_open, "left the connection open"),
        (_guesses, "Return one of"),
        (_never_connects, "no client came"),
        (lambda host, port: None, "returned None"),
        (lambda host, port: "connected", "Nobody listened, and RST came back"),
        (lambda host, port: host.prot, "AttributeError"),
    ],
)
def test_mistakes_in_reach_have_their_reasons(function: Callable[[str, int], object], reason: str) -> None:
    try:
        wrong(lesson.reach.check(function), reason)
    finally:
        _close_all()


@linux
@pytest.mark.usefixtures("short")
def test_a_connect_without_a_timeout_is_told_so() -> None:
    def reach(host: str, port: int) -> str:
        try:
            with sl.connect(host, port, timeout=None):
                return "connected"
        except ConnectionRefusedError:
            return "refused"
        except socket.gaierror:
            return "no such name"

    wrong(lesson.reach.check(reach), "Give `connect` a `timeout=`", "at `with sl.connect(host, port, timeout=None):`")


# ── keep_trying ───────────────────────────────────────────────────────────────────────────────────────────────────────

Pause = Callable[[], None]


def _pauses_first(address: Any, pause: Pause) -> sl.Connection:
    while True:
        pause()
        with contextlib.suppress(ConnectionRefusedError):
            return sl.connect(address)


def _plain_sockets(address: Any, pause: Pause) -> socket.socket:
    while True:
        try:
            return socket.create_connection(address)
        except ConnectionError:
            pause()


@pytest.mark.parametrize("function", [_plain_sockets])
def test_other_ways_to_keep_trying(function: Callable[..., object]) -> None:
    outcome = lesson.keep_trying.check(function)
    assert outcome, outcome
    assert "refused 3 times" in outcome.reason


def _once(address: Any, pause: Pause) -> sl.Connection:
    return sl.connect(address)


def _once_more(address: Any, pause: Pause) -> sl.Connection:
    try:
        return sl.connect(address)
    except ConnectionRefusedError:
        pause()
        return sl.connect(address)


def _whatever_happens(address: Any, pause: Pause) -> sl.Connection:
    while True:
        try:
            return sl.connect(address)
        except OSError:
            pause()


def _swallows(address: Any, pause: Pause) -> sl.Connection | None:
    while True:
        try:
            return sl.connect(address)
        except ConnectionRefusedError:
            pause()
        except OSError:
            return None


def _closes(address: Any, pause: Pause) -> sl.Connection:
    while True:
        try:
            with sl.connect(address) as conn:
                return conn
        except ConnectionRefusedError:
            pause()


def _forgets(address: Any, pause: Pause) -> None:
    while True:
        try:
            sl.connect(address).close()
            break
        except ConnectionRefusedError:
            pause()


def _says_so(address: Any, pause: Pause) -> str:
    _forgets(address, pause)
    return "connected"


def _elsewhere(address: Any, pause: Pause) -> sl.Connection:
    _forgets(address, pause)
    with sl.listen() as listener:
        return sl.connect(listener.local_addr)


def _goes_on(address: Any, pause: Pause) -> None:
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            sl.connect(address).close()
        pause()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_once, "called `pause()` not once"),
        (_once_more, "called `pause()` 1 times"),
        (_whatever_happens, "paused and would have tried again"),
        (_pauses_first, "paused and would have tried again"),
        (_swallows, "which has no address, your function returned"),
        (_closes, "Leave it open"),
        (_forgets, "returned None"),
        (_says_so, "a str. Return the connection"),
        (_elsewhere, "does not lead to the server"),
        (_goes_on, "called it 20 times"),
    ],
)
def test_mistakes_in_keep_trying_have_their_reasons(function: Callable[..., object], reason: str) -> None:
    try:
        wrong(lesson.keep_trying.check(function), reason)
    finally:
        _close_all()


@pytest.mark.usefixtures("short")
def test_a_client_that_never_pauses_is_told_so_and_let_in() -> None:
    def impatient(address: Any, pause: Pause) -> sl.Connection:
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _open.append(sl.connect(address))
                return _open[-1]

    try:
        wrong(lesson.keep_trying.check(impatient), "and never called `pause()`")
        helpers.eventually(lambda: _open, what="the client that is let in")
    finally:
        _close_all()


@linux
@pytest.mark.usefixtures("short")
def test_a_client_that_connects_again_and_again_comes_to_an_end() -> None:
    def greedy(address: Any, pause: Pause) -> None:
        while True:
            try:
                _open.append(sl.connect(address))  # and no return: the queue fills, then connect waits
            except ConnectionRefusedError:
                pause()

    try:
        wrong(lesson.keep_trying.check(greedy), "had called `pause()` 3 times", "Return as soon as it is connected")
    finally:
        _close_all()


# ── what the notebook shows ───────────────────────────────────────────────────────────────────────────────────────────


@linux
@pytest.mark.parametrize("backlog", [1, 4])
def test_a_queue_is_filled_to_its_last_place(backlog: int) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(sl.listen(backlog=backlog))
        clients = [stack.enter_context(client) for client in lesson.fill(full)]
        assert len(clients) == backlog + 1
        assert lesson.fill(full) == []
        lesson.late.predict("c")
        with pytest.raises(TimeoutError) as caught:
            sl.connect(full.local_addr, timeout=0.2)
        assert lesson.late.compare(caught.value).right
        stack.enter_context(full.accept(timeout=5))
        stack.enter_context(sl.connect(full.local_addr, timeout=5))


@linux
def test_a_queue_whose_length_is_not_told_is_filled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_is_full", lambda listener: False)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(sl.listen(backlog=1))
        assert len([stack.enter_context(client) for client in lesson.fill(full)]) == 2


class _NoWay(socket.socket):
    def connect(self, address: Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")


class _SomeWay(socket.socket):
    def connect(self, address: Any) -> None:
        """A route was found."""


def test_without_ipv6_an_outside_address_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "socket", _NoWay)
    assert lesson.out_of_reach() == ("2001:db8::1", 80)
    assert "2001:db8::1 is an IPv6 address outside" in capsys.readouterr().out


@linux
def test_where_a_way_leads_everywhere_all_hosts_are_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(socket, "socket", _SomeWay)
    there = lesson.out_of_reach()
    assert there == ("255.255.255.255", 80)
    assert "all hosts of a link" in capsys.readouterr().out
    monkeypatch.undo()
    with pytest.raises(OSError, match="unreachable") as caught:
        sl.connect(there, timeout=20)
    assert sl.explain(caught.value).cause is sl.Cause.NO_ROUTE


def test_what_the_predictions_observe(listener: sl.Listener) -> None:
    for prediction, letter in ((lesson.bound_only, "b"), (lesson.unaccepted, "c")):
        prediction.predict(letter)
    with lesson._bound() as silent, pytest.raises(ConnectionRefusedError) as caught:
        sl.connect(silent.getsockname())
    assert lesson.bound_only.compare(caught.value).right
    with sl.connect(listener.local_addr) as client:
        assert lesson.bound_only.compare(client).right is False
        assert lesson.unaccepted.compare(listener, client).right is None
        client.send(b"hello?")
        assert lesson.unaccepted.compare(listener, client).right
        with listener.accept(timeout=5):
            assert "accepted the client already" in repr(lesson.unaccepted.compare(listener, client))
    assert "could not be seen" in repr(lesson.late.compare(5))
