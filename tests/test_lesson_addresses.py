"""The checks and predictions of the notebook on addresses and names: a right answer passes, every mistake has a reason of its own, none
hangs a check or leaves anything open.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

import pytest
import socklens as sl
from judged import solved, wrong
from network import need_ipv6
from socklens.lessons import Exercise, Status
from socklens.lessons import addresses_and_names as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")

EXERCISES = [lesson.reachable_at, lesson.endpoint_of]
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)


@exercises
def test_solutions_pass_and_placeholders_are_not_attempted(exercise: Exercise) -> None:
    outcome = exercise.check(solved(exercise)[exercise.name])
    assert outcome, outcome
    assert repr(exercise.hint()).startswith("Hint: ")
    assert exercise.check(...).status is Status.NOT_ATTEMPTED
    assert exercise.check(lambda _: ...).status is Status.NOT_ATTEMPTED
    wrong(exercise.check(5), "Give the function itself")
    wrong(exercise.check(lambda: None), "TypeError")


@exercises
def test_a_function_that_hangs_is_told_so(exercise: Exercise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.0)
    over = threading.Event()
    try:
        wrong(exercise.check(lambda _: over.wait()), "had not returned after 1 seconds")
    finally:
        over.set()


# ── reachable_at ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _own(host: str) -> list[str]:
    return [row.host for row in sl.addresses() if row.kind != "all"]


def _never_ipv6(host: str) -> list[str]:
    return [one for one in _own(host) if ":" not in one] if host in ("0.0.0.0", "::") else [host]


def _both_families(host: str) -> list[str]:
    return _own(host) if host in ("0.0.0.0", "::") else [host]


def _only_what_is_listed(host: str) -> list[str]:
    return [one for one in _own(host) if one == host]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_own, "This listener has one address"),
        (lambda host: [host], "`0.0.0.0` among others: that means all addresses"),
        (lambda host: [] if host == "0.0.0.0" else [host], "A listener on `0.0.0.0` was reached at"),
        (lambda host: host, "Return a list, also if it has one address"),
        (lambda host: None, "returned None"),
        (lambda host: 1, "an int. Return a list"),
        (lambda host: sl.addresses().filter("loopback")[:], "AddressTable"),
        (lambda host: list(sl.addresses()), "`row.host`"),
        (lambda host: [] if host == "127.0.0.1" else [host], "was reached at `127.0.0.1` too"),
    ],
)
def test_mistakes_in_reachable_at_have_their_reasons(function: Callable[[str], object], reason: str) -> None:
    wrong(lesson.reachable_at.check(function), reason)


def test_the_families_are_told_apart() -> None:
    need_ipv6()
    wrong(lesson.reachable_at.check(_both_families), "stands for all of IPv4, and this is IPv6")
    wrong(lesson.reachable_at.check(_never_ipv6), "stands for all of IPv6, and this is IPv4")


def test_an_address_that_no_table_lists() -> None:
    if lesson.other_address() != "127.0.0.2":
        pytest.skip("127.0.0.2 is no address here")
    wrong(lesson.reachable_at.check(_only_what_is_listed), "all of 127.0.0.0/8")


# ── endpoint_of ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(data: bytes) -> str:
    return ".".join(map(str, data[:4]))


@pytest.mark.parametrize(
    "function",
    [
        lambda data: (socket.inet_ntoa(data[:4]), struct.unpack("!H", data[4:])[0]),
        lambda data: sl.Address(_text(data), data[4] * 256 + data[5]),
        lambda data: (_text(data), int(data[4:].hex(), 16)),
    ],
    ids=["library", "arithmetic", "hex"],
)
def test_other_ways_to_read_six_bytes(function: Callable[[bytes], object]) -> None:
    outcome = lesson.endpoint_of.check(function)
    assert outcome, outcome
    assert "reached the server" in outcome.reason


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda data: sl.Address(_text(data), int.from_bytes(data[4:], "little")), "network byte order"),
        (lambda data: sl.Address(_text(data[3::-1]), int.from_bytes(data[4:], "big")), "the other way round"),
        (lambda data: sl.Address(_text(data), data[5]), "· 256 +"),
        (lambda data: ("localhost", 1), "the first four bytes are 127, 0, 0, 1"),
        (lambda data: (data[:4], data[4:]), "an endpoint whose address is a bytes"),
        (lambda data: (_text(data), data[4:]), "an endpoint whose port is a bytes"),
        (lambda data: f"{_text(data)}:{data[4] * 256 + data[5]}", "a str. Return address and port"),
        (lambda data: None, "returned None"),
        (lambda data: data[9], "IndexError"),
    ],
)
def test_mistakes_in_endpoint_of_have_their_reasons(function: Callable[[bytes], object], reason: str) -> None:
    wrong(lesson.endpoint_of.check(function), reason)


def test_a_port_whose_bytes_are_equal_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = 0x5A5A
    made: list[sl.Listener] = []

    def listen(host: str) -> sl.Listener:
        made.append(sl.listen(host, 0 if made else twice))
        return made[-1]

    monkeypatch.setattr(lesson, "sl", type("Sl", (), {"listen": staticmethod(listen)}))
    try:
        with lesson._lopsided("127.0.0.1") as listener:
            assert listener.local_addr.port != twice
        assert made[0].closed
    except OSError as error:
        pytest.skip(f"{error}")


# ── what the notebook shows ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_other_address_is_this_machines_and_another_one(capsys: pytest.CaptureFixture[str]) -> None:
    other = lesson.other_address()
    assert other in capsys.readouterr().out
    with sl.listen(other) as listener:
        assert listener.local_addr.host == other


def test_a_machine_with_one_address_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], listener: sl.Listener
) -> None:
    monkeypatch.setattr(lesson, "_is_local", lambda host: host == "127.0.0.1")
    assert lesson.other_address() == "127.0.0.1"
    assert "no IPv4 address but 127.0.0.1" in capsys.readouterr().out
    with sl.connect(listener.local_addr) as client:
        assert "has only one IPv4 address" in repr(lesson.elsewhere.compare(client))


def test_a_machine_without_a_second_loopback_address_takes_an_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sl.AddressTable(
        [
            sl.MachineAddress("lo0", "127.0.0.1", 8, "loopback", "", True),
            sl.MachineAddress("lo0", "::1", 128, "loopback", "", True),
            sl.MachineAddress("en0", "192.168.1.7", 24, "private", "", True),
            sl.MachineAddress("(all)", "0.0.0.0", 0, "all", "", None),
        ]
    )
    monkeypatch.setattr(sl, "addresses", lambda: rows)
    monkeypatch.setattr(lesson, "_is_local", lambda host: host != "127.0.0.2")
    assert lesson.other_address() == "192.168.1.7"


def _outcome(call: Callable[..., object], *args: object) -> object:
    try:
        return call(*args)
    except OSError as error:
        return error


def test_what_the_predictions_observe(listener: sl.Listener) -> None:
    other = lesson.other_address()
    if other == "127.0.0.1":
        pytest.skip("this machine has one IPv4 address")
    port = listener.local_addr.port
    with contextlib.ExitStack() as stack:
        for prediction in (lesson.elsewhere, lesson.everywhere, lesson.client_port):
            prediction.predict("b")
        for prediction in (lesson.twins, lesson.by_name):
            prediction.predict("a")

        assert lesson.elsewhere.compare(_outcome(sl.connect, other, port)).right
        everybody = stack.enter_context(sl.listen("0.0.0.0"))
        for host in ("127.0.0.1", other):
            stack.enter_context(sl.connect(host, everybody.local_addr.port))
        accepted = [stack.enter_context(everybody.accept(timeout=5)) for _ in range(2)]
        assert lesson.everywhere.compare(everybody, accepted).right
        assert lesson.everywhere.compare(everybody, accepted[:1]).right is False

        twin = stack.enter_context(sl.listen(other, port))
        assert lesson.twins.compare(listener, twin).right
        assert lesson.twins.compare(listener, _outcome(sl.listen, "127.0.0.1", port)).right is False
        assert lesson.twins.compare(listener, everybody).right is None

        client = stack.enter_context(sl.connect(listener.local_addr))
        assert lesson.client_port.compare(client).right
        named = stack.enter_context(sl.connect("localhost", port))
        assert lesson.by_name.compare(named).right
        assert lesson.by_name.compare(ConnectionRefusedError()).right is False


def test_what_is_not_as_the_notebook_left_it_is_a_sentence(listener: sl.Listener) -> None:
    for comparison in (
        lesson.elsewhere.compare(5),
        lesson.everywhere.compare(listener, []),
        lesson.twins.compare(listener, 5),
        lesson.client_port.compare(5),
        lesson.by_name.compare(5),
    ):
        assert comparison.right is None
        assert "could not be seen" in repr(comparison)
