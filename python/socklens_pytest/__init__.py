"""The pytest plugin: fixtures with real sockets, and two marks, ``deadline`` and ``no_leaks``. pytest loads it wherever socklens is
installed, so nothing is imported here but pytest, and neither the rest of this package nor socklens before a test asks for it.

It is a package beside socklens, because importing anything inside ``socklens`` would import its compiled half with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from socklens import Address, Connection, Listener, Server, Wire
    from socklens.check import Result
    from socklens.server._reactor import RustHandler

    Handler = Callable[[Connection], object] | RustHandler
    Target = Address | tuple[str, int] | str | Listener | Server

_MARKS = (
    "deadline(seconds): the test fails when it and its fixtures take longer, with where every thread stood; the others go on (socklens)",
    "no_leaks: the test fails when a descriptor, a thread or a listening socket that it opened is still there after it (socklens)",
)

_SERVERS = pytest.StashKey["list[Server]"]()
"""On a test that uses one of the fixtures below: the servers that it started."""


# Fixtures


@pytest.fixture
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    """A `socklens.Listener` on a free port of 127.0.0.1, closed after the test: ``sl.connect(listener.local_addr)``."""
    import socklens as sl

    _used_by(request)
    with sl.listen(port=0) as listener:
        yield listener


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Connection, Connection]]:
    """The two ends of one TCP connection, (client, server), as `socklens.pair` makes them; both closed after the test."""
    import socklens as sl

    _used_by(request)
    client, server = sl.pair()
    with client, server:
        yield client, server


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Starts servers: ``echo = server(handler)``, then ``sl.connect(echo.local_addr)``; all are stopped after the test.

    ``server(handler, host="127.0.0.1", port=0, **options)`` takes what `socklens.Server` takes; the port is a free one unless it is
    given. What the handlers raised is in ``.errors``, and is shown with a test that fails.
    """
    import socklens as sl

    started = _used_by(request)

    def start(handler: Handler, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Server:
        """A server with this handler that runs, on a free port unless one is given; `socklens.Server` says what else it takes."""
        started.append(sl.Server(handler, host, port, **options).start())
        return started[-1]

    yield start
    _end_all([server.stop for server in reversed(started)])


@pytest.fixture
def wire(request: pytest.FixtureRequest) -> Iterator[Callable[..., Wire]]:
    """Puts a mischievous relay before a server: ``w = wire(echo, split=1)``, then ``sl.connect(w.local_addr)``; closed after the test.

    ``wire(target, **mischief)`` takes what `socklens.Wire` takes: the address, listener or server that it relays to, and how it splits,
    holds back, delays or ends what passes; ``seed=`` makes it the same in every run.
    """
    import socklens as sl

    _used_by(request)
    made: list[Wire] = []

    def relay(target: Target, **mischief: Any) -> Wire:
        """A relay to the target, which listens; `socklens.Wire` says what else it takes."""
        made.append(sl.Wire(target, **mischief))
        return made[-1]

    yield relay
    _end_all([one.close for one in reversed(made)])


@pytest.fixture
def free_port() -> int:
    """The number of a TCP port that nobody has, on any address of this machine: for programs that must be told their port.

    It is not held for the test. It lies outside the range from which the kernel gives ports to others by itself, so that it stays free
    unless somebody asks for this very number. Where a port may be 0, as in ``sl.listen(port=0)``, that is safer.
    """
    from socklens._free_port import free_port

    return free_port()


def _failed_checks(excinfo: pytest.ExceptionInfo[BaseException]) -> list[Result]:
    """The results of checks in the line that failed an assertion: pytest writes an object of several lines into one, and cuts it."""
    module = sys.modules.get("socklens.check._result")
    if module is None or not excinfo.errisinstance(AssertionError):
        return []
    # Where pytest rewrites an assert, what it has computed is among the frame's variables, too.
    values = excinfo.traceback[-1].frame.f_locals.values()
    return list(
        {id(value): value for value in values if isinstance(value, module.Result) and not value.passed}.values()
    )


def _used_by(request: pytest.FixtureRequest) -> list[Server]:
    """Notes that this test has sockets of ours; the list is for the servers that it starts."""
    item: pytest.Item = request.node
    return item.stash.setdefault(_SERVERS, [])


def _end_all(ends: list[Callable[[], object]]) -> None:
    """Calls each of them, also after one that fails, and raises what they raised."""
    failed: list[Exception] = []
    for end in ends:
        try:
            end()
        except Exception as error:
            failed.append(error)
    if failed:
        raise failed[0] if len(failed) == 1 else ExceptionGroup("several sockets could not be closed", failed)


# What pytest asks


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two marks for all tests of a project, as settings."""
    parser.addini("socklens_deadline", "seconds: the mark deadline for every test that has none of its own", default="")
    parser.addini("socklens_no_leaks", "true: the mark no_leaks for every test", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marks, for ``pytest --markers`` and ``--strict-markers``."""
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the marks need is imported, and listens to pytest, only where a test has them."""
    everywhere = config.getini("socklens_deadline") != ""
    if everywhere or any(item.get_closest_marker("deadline") for item in items):
        from . import _deadline

        _deadline.serve(config, items)
    if config.getini("socklens_no_leaks") or any(item.get_closest_marker("no_leaks") for item in items):
        from . import _leaks

        _leaks.serve(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed with sockets of ours says why: an error's diagnosis, the check that it asserted, and what the handlers of its
    servers raised.
    """
    servers = item.stash.get(_SERVERS, None)
    if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
        return (yield)
    if servers is not None:
        from socklens._explain._showing import attach

        attach(call.excinfo.value)  # as notes of the exception, which pytest shows
    report = yield
    report.sections += [("socklens check", str(result)) for result in _failed_checks(call.excinfo)]
    for server in servers or ():
        for error in server.errors:
            report.sections.append((f"what a handler of {server!r} raised", f"{error}\n{error.traceback}"))
    return report
