"""Runs lines of Python as the interactive interpreter does: what is printed after >>> is the very line that runs."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Self, TypeVar

import socklens

from ..display.screen import Screen
from ..display.text import picture
from ..display.views import view_of
from .keyboard import at_keyboard

_T = TypeVar("_T")


class Stopped(Exception):
    """Whoever looks on has seen enough."""


class Stage:
    """A screen and the names that the lines have made so far.

    The names live in a module called ``__main__``, as in the interactive interpreter: that is where an error message
    looks for the variable that holds a port. Leaving the stage puts the real one back and closes every socket.

    With `step`, and a person at the terminal, `pause` waits for Enter.
    """

    def __init__(self, screen: Screen, *, step: bool = False) -> None:
        self._screen = screen
        self._pauses = step and screen.is_tty and at_keyboard()
        self._lines = 0
        self._outside = sys.modules["__main__"]
        self._inside = ModuleType("__main__")
        self._names: dict[str, object] = vars(self._inside)
        self._names["sl"] = socklens

    def __enter__(self) -> Self:
        sys.modules["__main__"] = self._inside
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        sys.modules["__main__"] = self._outside
        for value in self._names.values():
            if isinstance(value, (socklens.Connection, socklens.Listener)):
                value.close()
        return isinstance(error, Stopped)

    def pause(self, what: str = "for the next step") -> None:
        """Where the stage pauses, waits for Enter.

        Raises:
            Stopped: q was typed, or stdin has ended.
        """
        if not self._pauses:
            return
        answer = ""
        try:
            self._screen.write("\n" + self._screen.dim(f"Enter {what}, q to stop "))
            answer = sys.stdin.readline()
        finally:
            if not answer.endswith("\n"):  # Ctrl-C or Ctrl-D: the shell's prompt wants a line of its own
                self._screen.write("\n")
        if not answer or answer.strip().lower() == "q":
            raise Stopped
        self._screen.take_back(2)

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
        # Empty lines before it give it its number: an error then says "made in the tour, line 3".
        numbered = "\n" * self._lines + source
        self._lines += 1
        try:
            try:
                code = compile(numbered, "the tour", "eval")
            except SyntaxError:
                exec(compile(numbered, "the tour", "exec"), self._names)
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


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Looks until the condition holds; False if the deadline comes first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.001)
    return True
