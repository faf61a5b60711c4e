"""What an exercise is and how its outcome looks. Judging never raises at the student: an answer is passed, not attempted,
or wrong for a reason. The drawings are pure functions of frozen values, and every value in them is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .drawing import box, prose
from .exam import withheld


class Status(Enum):
    """The three outcomes of a check."""

    PASSED = "passed"
    NOT_ATTEMPTED = "not attempted"
    WRONG = "wrong"


class Wrong(Exception):
    """Raised by a judge: the answer is wrong, for the reason in the message."""


class NotAttempted(Exception):
    """Raised by a judge: the placeholder ``...`` is still where the answer belongs."""


@dataclass(frozen=True)
class Outcome:
    """What a check found. True in a condition if the answer passed; ``reason`` says why, in a sentence or two.

    In a notebook it draws itself; elsewhere its text is the plain form.
    """

    exercise: str
    status: Status
    reason: str

    def __bool__(self) -> bool:
        return self.status is Status.PASSED

    def __repr__(self) -> str:
        return f"{_TITLES[self.status]}: {self.exercise}. {self.reason}"

    def _repr_html_(self) -> str:
        kind = self.status.value.replace(" ", "-")
        return box(kind, f"<strong>{_TITLES[self.status]}</strong> {prose(self.reason)}")


@dataclass(frozen=True)
class Hint:
    """A hint as text; in a notebook it draws itself."""

    exercise: str
    text: str

    def __repr__(self) -> str:
        return f"Hint: {self.text}"

    def _repr_html_(self) -> str:
        return box("hint", f"<strong>Hint</strong> {prose(self.text)}")


@dataclass(frozen=True)
class Solution:
    """One way to solve an exercise, as Python source. In a notebook it stays folded until it is opened."""

    exercise: str
    code: str

    def __repr__(self) -> str:
        return self.code

    def _repr_html_(self) -> str:
        summary = f"A solution of <code>{html.escape(self.exercise)}</code>"
        return box("solution", f"<details><summary>{summary}</summary><pre>{html.escape(self.code)}</pre></details>")


class Exercise:
    """One exercise: ``check`` an answer, ask for a ``hint``, see a ``solution``.

    Args:
        name: what the student defines, and how the exercise is called.
        expects: the names of the answers that ``check`` takes, in order.
        hint: one or two sentences that help without giving the answer.
        solution: Python source that replaces the student's part of the cell.
        judge: called with the answers; returns a sentence on what was found right, or raises :class:`Wrong` or
            :class:`NotAttempted`. It is bounded in time and closes what it opens.
    """

    __slots__ = ("_expects", "_hint", "_judge", "_solution", "name")

    def __init__(
        self, name: str, *, expects: tuple[str, ...], hint: str, solution: str, judge: Callable[..., str]
    ) -> None:
        self.name = name
        self._expects = expects
        self._hint = hint
        self._solution = solution.strip("\n")
        self._judge = judge

    def check(self, *answer: object) -> Outcome:
        """Check an answer, in a few seconds at most, and say what was found. Never raises because of the answer.

        Returns:
            An :class:`Outcome`: passed, not attempted, or wrong with the reason.
        """
        if not answer or any(part is ... or part is None for part in answer):
            return self._not_attempted()
        if len(answer) != len(self._expects):
            taken = ", ".join(self._expects)
            return Outcome(
                self.name, Status.WRONG, f"Call it as `lesson.{self.name}.check({taken})`; it got {len(answer)}."
            )
        try:
            return Outcome(self.name, Status.PASSED, self._judge(*answer))
        except NotAttempted:
            return self._not_attempted()
        except Wrong as wrong:
            return Outcome(self.name, Status.WRONG, str(wrong))
        except Exception as error:  # whatever an unforeseen answer provokes: a student sees a sentence, not our frames
            return Outcome(self.name, Status.WRONG, f"The check could not go on: {type(error).__name__}: {error}")

    def hint(self) -> Hint:
        """A hint that helps without giving the answer; in exam mode it says only that there is none."""
        return Hint(self.name, "There are none in exam mode." if withheld() else self._hint)

    def solution(self) -> Solution:
        """One way to solve it, as Python source (``.code``); in exam mode a comment that says only that there is none."""
        return Solution(self.name, "# There are none in exam mode." if withheld() else self._solution)

    def __repr__(self) -> str:
        return f"Exercise {self.name}: check({', '.join(self._expects)}), hint(), solution()"

    def _not_attempted(self) -> Outcome:
        helps = "" if withheld() else f"; `lesson.{self.name}.hint()` helps"
        return Outcome(self.name, Status.NOT_ATTEMPTED, f"Put your answer in place of `...`{helps}.")


_TITLES = {Status.PASSED: "Passed", Status.NOT_ATTEMPTED: "Not attempted yet", Status.WRONG: "Not right yet"}
