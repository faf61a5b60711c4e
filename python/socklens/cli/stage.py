"""Runs lines of Python as the interactive interpreter does: what is printed after >>> is the very line that runs."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from typing import TypeVar

import socklens

from ..display.screen import Screen
from ..display.text import picture
from ..display.views import view_of

_T = TypeVar("_T")


class Stage:
    """A screen and the names that the lines have made so far."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._names: dict[str, object] = {"sl": socklens}
        self._cell = 0

    def title(self, text: str) -> None:
        """The heading of a step."""
        rule = self._screen.glyphs.horizontal
        head = f"{rule * 2} {text} "
        self._screen.write("\n" + self._screen.bold(head + rule * (self._screen.width - len(head))) + "\n")

    def say(self, text: str) -> None:
        """A paragraph, wrapped to the screen."""
        self._screen.write(textwrap.fill(" ".join(text.split()), self._screen.width) + "\n")

    def note(self, text: str) -> None:
        """A paragraph about this machine rather than about TCP."""
        wrapped = textwrap.fill("Note: " + " ".join(text.split()), self._screen.width)
        for row in wrapped.splitlines():
            self._screen.write(self._screen.dim(row) + "\n")

    def run(self, source: str) -> object:
        """Prints the line and runs it; prints the value of an expression, as the interpreter does.

        Raises:
            OSError: the line failed; its error was printed like the last line of a traceback.
        """
        self._screen.write(self._screen.code(f">>> {source}") + "\n")
        # Each line is a cell of its own, as in a notebook: a second listener on a port is a conflict, not a re-run.
        self._cell += 1
        cell = f"<line {self._cell} of the tour>"
        try:
            try:
                code = compile(source, cell, "eval")
            except SyntaxError:
                exec(compile(source, cell, "exec"), self._names)
                return None
            value = eval(code, self._names)
        except OSError as error:
            said = f"{type(error).__name__}: {error}"
            self._screen.write("\n".join(textwrap.fill(row, self._screen.width) for row in said.splitlines()) + "\n")
            raise
        if value is not None:
            self._screen.write(f"{value!r}\n")
        return value

    def get(self, name: str, kind: type[_T]) -> _T:
        """What a line has named, with the type that it must have."""
        value = self._names[name]
        if not isinstance(value, kind):
            raise TypeError(f"{name} is a {type(value).__name__}, not a {kind.__name__}")
        return value

    def draw(self, *names: str) -> None:
        """The picture of these sockets, as the kernel sees them now."""
        views = [view_of(self._names[name], name) for name in names]  # type: ignore[arg-type]  # checked by view_of
        self._screen.write(picture(views, self._screen.width, self._screen.glyphs) + "\n")

    def close(self) -> None:
        """Closes whatever socket a line has left open."""
        for value in self._names.values():
            if isinstance(value, (socklens.Connection, socklens.Listener)):
                value.close()


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Looks until the condition holds; False if the deadline comes first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.001)
    return True
