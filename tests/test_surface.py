"""The face of the package: every public name explains itself, prints itself, and can be asked for its signature; importing it costs
nothing that is not needed; values compare and copy as values do, and what stands for a socket does not pretend to be one.
"""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from refusals import refused

CLASSES = [value for name in sl.__all__ if isinstance(value := getattr(sl, name), type)]
STATES = {
    "ESTABLISHED": 1,
    "SYN_SENT": 2,
    "SYN_RECEIVED": 3,
    "FIN_WAIT_1": 4,
    "FIN_WAIT_2": 5,
    "TIME_WAIT": 6,
    "CLOSED": 7,
    "CLOSE_WAIT": 8,
    "LAST_ACK": 9,
    "LISTEN": 10,
    "CLOSING": 11,
}


def members() -> list[Any]:
    """Every public attribute and method that a class of the package defines, as (class, name)."""
    return [
        pytest.param(kind, name, id=f"{kind.__name__}.{name}")
        for kind in CLASSES
        for name in sorted(vars(kind))  # the order of Rust classes differs from process to process
        if not name.startswith("_") and not (kind is sl.TcpState and name in STATES)
    ]


# Names and documentation


def test_all_is_complete_and_in_order() -> None:
    public = {name for name, value in vars(sl).items() if name[0] != "_" and not isinstance(value, types.ModuleType)}
    assert set(sl.__all__) == public | {"__version__"}
    assert sl.__all__ == sorted(sl.__all__)


def test_the_packages_help_lists_every_name_once_in_a_line_of_its_own() -> None:
    told = re.findall(r"^    (\w+) {2,}(\S.{8,})$", sl.__doc__ or "", re.MULTILINE)
    assert sorted(name for name, _ in told) == sorted({*sl.__all__, "aio", "check"} - {"__version__"})
    assert not [words for _, words in told if words.endswith(".")], "in one style"


@pytest.mark.parametrize("name", [name for name in sl.__all__ if name != "__version__"])
def test_every_name_is_explained(name: str) -> None:
    value = getattr(sl, name)
    assert len(value.__doc__ or "") > 20
    assert value.__module__.split(".")[0] == "socklens"
    assert value.__qualname__ == name


@pytest.mark.parametrize(("kind", "name"), members())
def test_every_member_is_explained(kind: type, name: str) -> None:
    explained = inspect.getdoc(inspect.getattr_static(kind, name)) or ""
    assert len(explained) > 10
    assert explained.rstrip()[-1] in ".:`)", "it ends in the middle of a sentence"


def test_help_is_whole() -> None:
    for kind in CLASSES:
        assert kind.__name__ in pydoc.plain(pydoc.render_doc(kind))


@pytest.mark.parametrize("error", [sl.ClosedError, sl.IncompleteReadError, sl.FrameTooLongError])
def test_every_attribute_of_an_exception_is_explained(error: type[Exception]) -> None:
    for name in inspect.get_annotations(error):
        assert re.search(rf"^ +{name}: ", error.__doc__ or "", re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [name for name in sorted(vars(sl.TcpInfo)) if re.search("rtt|^rto$|^ato$|_time$|^last_|[wf]_limited$", name)],
)
def test_every_duration_has_its_unit(name: str) -> None:
    explained = getattr(sl.TcpInfo, name).__doc__
    assert re.search("(?i)microsec|millisec", explained)


@pytest.mark.parametrize("function", [sl.connect, sl.listen, sl.pair, sl.get_default_timeout, sl.set_default_timeout])
def test_every_function_has_a_signature(function: Any) -> None:
    explained = function.__doc__
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.name in explained


@pytest.mark.parametrize(("kind", "name"), members())
def test_every_method_has_a_signature(kind: type, name: str) -> None:
    method = getattr(kind, name)
    if not callable(method):
        return
    parameters = inspect.signature(method).parameters
    assert "args" not in parameters
    if "timeout" in parameters and kind in (sl.Connection, sl.Listener):
        assert parameters["timeout"].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters["timeout"].default is ...


# Import


def test_import_brings_nothing_that_is_not_needed() -> None:
    # Without site, so that nothing has been imported for other reasons.
    code = f"""
import sys
sys.path.insert(0, {str(Path(sl.__file__).parent.parent)!r})
import socklens
print(*sorted(sys.modules))"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert "socklens._socklens" in imported
    assert not {"socket", "_socket", "asyncio", "threading", "typing", "re", "select", "IPython"} & set(imported)


def test_version() -> None:
    assert type(sl.__version__) is str
    assert sl.__version__ == importlib.metadata.version("socklens")


# How things print


def test_how_sockets_print(listener: sl.Listener) -> None:
    assert repr(listener) == f"<Listener {listener.local_addr} LISTEN, 0 waiting, limit 128>"
    with sl.connect(listener.local_addr, timeout=10) as client:
        eventually(lambda: repr(listener) == f"<Listener {listener.local_addr} LISTEN, 1 waiting, limit 128>")
        with listener.accept(timeout=10) as server:
            server.unrecv(b"abc")
            assert (
                repr(server)
                == f"<Connection {listener.local_addr} -> {client.local_addr} ESTABLISHED, in 3 B, out 0 B>"
            )
            assert "Lines" in repr(server.lines())
            assert str(server.peer_addr) in repr(server.lines()), "an iterator over lines says whose"
        assert repr(server) == f"<Connection {listener.local_addr} -> {client.local_addr} closed>"


def test_how_views_print(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    capacity = server.input_buffer.capacity
    server.unrecv(b"\x00<b>")
    assert repr(server.input_buffer) == rf"<InputBuffer 4 B: rust 4 + kernel 0 of {capacity}, b'\x00<b>'>"
    server.unrecv(bytes(100))
    assert repr(server.input_buffer).endswith(f"{bytes(24)!r}...>"), "the first 24 bytes"
    capacity = client.output_buffer.capacity
    assert repr(client.output_buffer) == f"<OutputBuffer 0 B: unacknowledged 0 + unsent 0 of {capacity}, b''>"
    assert repr(server.totals) == "Totals(sent=0, received=0, read=0, put_back=104)"
    assert re.fullmatch(
        r"<TcpInfo ESTABLISHED, rtt \d+ us, snd_cwnd \d+ segments, snd_wnd \d+ B; \d+ fields, see \.to_dict\(\)>",
        repr(client.info()),
    )
    assert repr(client.state) == "TcpState.ESTABLISHED"
    assert repr(sl.Backlog(1, 2)) == "Backlog(waiting=1, limit=2)"


# Values


def test_states() -> None:
    assert {name for name in dir(sl.TcpState) if name.isupper()} == set(STATES)
    for name, number in STATES.items():
        state = getattr(sl.TcpState, name)
        assert (state.name, state.value, int(state), str(state)) == (name, number, number, name)
        assert f"{state}" == name
        assert len(state.meaning) > 10
        assert state == getattr(sl.TcpState, name)
        assert hash(state) == hash(getattr(sl.TcpState, name))
        assert [other for other in STATES if state == getattr(sl.TcpState, other)] == [name]
        assert state != name
    assert {sl.TcpState.LISTEN: "listens"}[sl.TcpState.LISTEN] == "listens"


def test_a_state_stands_in_a_column() -> None:
    assert f"{sl.TcpState.LISTEN:>8}|{sl.TcpState.CLOSED:<8}|" == "  LISTEN|CLOSED  |"


def test_what_is_equal_hashes_alike() -> None:
    for name, number in STATES.items():
        state = getattr(sl.TcpState, name)
        assert state != number or hash(state) == hash(number)
    assert sl.TcpState.ESTABLISHED != True  # noqa: E712  # the number 1 is no reason


def test_a_state_is_copied_as_a_value() -> None:
    state = sl.TcpState.TIME_WAIT
    assert copy.copy(state) is copy.deepcopy({"state": state})["state"] is pickle.loads(pickle.dumps(state)) is state


def test_there_is_one_object_of_each_state(listener: sl.Listener, pair: tuple[sl.Connection, sl.Connection]) -> None:
    conn, info = pair[0], pair[0].info()
    rows = {row.local: row for row in sl.ports(mine=True)}
    told = [conn.state, info.state, info.to_dict()["state"], sl.look(conn).state, rows[conn.local_addr].state]
    assert all(state is sl.TcpState.ESTABLISHED for state in told)
    assert listener.state is rows[listener.local_addr].state is sl.TcpState.LISTEN
    with sl.record() as story:
        conn.shutdown("send")
    (event,) = story.events
    assert event.before is sl.TcpState.ESTABLISHED
    assert {id(getattr(sl.TcpState, name)) for name in STATES} == {id(getattr(sl.TcpState, name)) for name in STATES}


def test_info_as_a_dictionary(pair: tuple[sl.Connection, sl.Connection]) -> None:
    info = pair[0].info()
    fields = info.to_dict()
    attributes = {name for name in vars(sl.TcpInfo) if not name.startswith("_") and name != "to_dict"}
    assert next(iter(fields)) == "state"
    assert set(fields) == {name for name in attributes if getattr(info, name) is not None}
    for name, value in fields.items():
        assert getattr(info, name) == value
        assert isinstance(value, bool | int | sl.TcpState)
    assert info.state == sl.TcpState.ESTABLISHED
    fields.clear()
    assert info.to_dict(), "the dictionary is the caller's own"


def test_views_are_frozen_and_compare_by_value(pair: tuple[sl.Connection, sl.Connection]) -> None:
    conn = pair[0]
    for one, other in (
        (conn.totals, conn.totals),
        (conn.input_buffer, conn.input_buffer),
        (conn.output_buffer, conn.output_buffer),
    ):
        assert one is not other
        assert one == other
        for name in ("sent", "capacity", "anything"):
            with pytest.raises(AttributeError):
                setattr(one, name, 1)
    before = conn.totals, conn.input_buffer
    conn.unrecv(b"x")
    assert before != (conn.totals, conn.input_buffer)


def test_totals_add_up(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    client.sendall(b"one\ntwo\nthree")
    assert server.recv_line(timeout=10) == b"one\n"
    server.unrecv(b"zero\n")
    totals = server.totals
    assert (totals.read, totals.put_back) == (4, 5)
    assert totals.received + totals.put_back == totals.read + server.input_buffer.rust
    assert totals.received + server.input_buffer.kernel == client.totals.sent == 13
    client.close()
    assert client.totals.sent == 13


# What stands for a socket


def test_a_socket_is_not_copied(listener: sl.Listener, pair: tuple[sl.Connection, sl.Connection]) -> None:
    for socket_like in (listener, pair[0]):
        for copying in (pickle.dumps, copy.copy, copy.deepcopy):
            words = [type(socket_like).__name__, "cannot be pickled or copied", "socket of this process"]
            refused(TypeError, words, copying, socket_like)


@pytest.mark.parametrize(
    "kind", [sl.InputBuffer, sl.OutputBuffer, sl.TcpInfo, sl.Totals, sl.Lines], ids=lambda kind: kind.__name__
)
def test_what_is_only_read_is_not_made(kind: Any) -> None:
    refused(TypeError, [kind.__name__], kind)


@pytest.mark.parametrize(("kind", "way"), [(sl.Connection, "connect("), (sl.Listener, "listen(")])
def test_a_socket_that_is_made_by_its_class_name_is_told_the_way(kind: Any, way: str) -> None:
    refused(TypeError, [way], kind, "127.0.0.1", 6666)


def test_exceptions_are_what_python_calls_them() -> None:
    assert issubclass(sl.ClosedError, OSError)
    assert issubclass(sl.IncompleteReadError, EOFError)
    assert issubclass(sl.FrameTooLongError, ValueError)
    incomplete = pickle.loads(pickle.dumps(sl.IncompleteReadError("why", b"part", 7)))
    assert (str(incomplete), incomplete.partial, incomplete.expected) == ("why", b"part", 7)
    too_long = pickle.loads(pickle.dumps(sl.FrameTooLongError("why", 5)))
    assert (str(too_long), too_long.limit) == ("why", 5)
    closed = pickle.loads(pickle.dumps(sl.ClosedError(9, "why")))
    assert (closed.errno, closed.strerror, type(closed)) == (9, "why", sl.ClosedError)
