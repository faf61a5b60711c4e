"""The mark ``no_leaks``: what a test opened must be gone after it. Compares two looks, and closes nothing."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Generator
from typing import Any

import pytest
import socklens as sl

from . import _open

_PATIENCE = 2.0  # seconds: a thread, or the kernel, may still be at it
_PAUSE = 0.01

_NAME = "socklens no_leaks"


def serve(config: pytest.Config) -> None:
    """Lets the check listen to pytest."""
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(Leaks(bool(config.getini("socklens_no_leaks"))), _NAME)


class Leaks:
    """What pytest tells of every test; one that is not asked for is let pass.

    What fixtures of a larger scope open is theirs to close, at the end of that scope. A test that failed is not checked: its traceback
    holds its variables, and so its sockets.
    """

    def __init__(self, everywhere: bool) -> None:
        self._everywhere = everywhere
        self._own: _open.Own | None = None
        self._failed = False
        _use_once()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """The look before."""
        asked = self._everywhere or item.get_closest_marker("no_leaks") is not None
        self._own = _open.Own() if asked else None
        self._failed = False
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """What a module's or a session's fixture opens does not count."""
        return (yield) if self._own is None else (yield from self._own.fixture(fixturedef))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Whether it failed so far."""
        report = yield
        self._failed |= not report.passed
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        """The look after, when all fixtures of the test have ended."""
        yield
        own, self._own = self._own, None
        if own is None or self._failed:
            return
        left = _left(own)
        if left:
            lines = left.lines()
            pytest.fail("\n  ".join([f"left over by the test: {len(lines)}", *lines]), pytrace=False)


def _left(own: _open.Own) -> _open.Open:
    """What is open and was not before, when all that is on its way out has had its time."""
    if own.now():
        gc.collect()  # what only a cycle holds is gone then, as it would be sooner or later
    deadline = time.monotonic() + _PATIENCE
    while (left := own.now()) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return left


def _use_once() -> None:
    """What this thread's first wait opens, and keeps, belongs to no test."""
    with sl.listen() as listener, contextlib.suppress(TimeoutError):
        listener.accept(timeout=0.001)
