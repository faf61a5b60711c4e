"""What a prediction is and how it looks: a question that the student answers before the cell that shows the answer is run. What is
right is read from real sockets afterwards, never written down beforehand. Nothing here raises at the student.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .drawing import box, prose


@dataclass(frozen=True)
class Question:
    """What :meth:`Prediction.predict` returns: the question with its choices, and which of them was chosen, if any."""

    text: str
    choices: tuple[tuple[str, str], ...]
    chosen: str | None
    complaint: str = ""

    def __repr__(self) -> str:
        lines = [self.text, *(f"  {letter}  {choice}" for letter, choice in self.choices), self._word()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<li class="{"chosen" if letter == self.chosen else ""}"><code>{letter}</code> {prose(choice)}'
            f"{' <em>your prediction</em>' if letter == self.chosen else ''}</li>"
            for letter, choice in self.choices
        )
        return box(
            "question",
            f"<strong>Predict</strong> {prose(self.text)}<ul>{rows}</ul><small>{prose(self._word())}</small>",
        )

    def _word(self) -> str:
        if self.complaint:
            return self.complaint
        if self.chosen is None:
            return f"Put one of {_either(self.choices)} in place of `...` and run the cell again."
        return "Noted. Now run the next cell, and see."


@dataclass(frozen=True)
class Comparison:
    """What :meth:`Prediction.compare` returns: what was seen, what had been predicted, and why it is so.

    True in a condition if the prediction was right.
    """

    seen: str
    predicted: str | None
    right: bool | None
    why: str

    def __bool__(self) -> bool:
        return bool(self.right)

    def __repr__(self) -> str:
        return f"{self._title()}: {self._sentence()} {self.why}"

    def _repr_html_(self) -> str:
        kind = {True: "passed", False: "surprise", None: "not-attempted"}[self.right]
        return box(kind, f"<strong>{html.escape(self._title())}</strong> {prose(self._sentence())} {prose(self.why)}")

    def _title(self) -> str:
        return {True: "As you predicted", False: "A surprise", None: "Not predicted"}[self.right]

    def _sentence(self) -> str:
        predicted = f" You predicted: {self.predicted}." if self.right is False else ""
        return f"{self.seen}.{predicted}"


class Prediction:
    """A question answered before the cell that shows it is run: ``predict`` first, ``compare`` afterwards.

    Args:
        name: how the lesson calls it.
        question: one sentence.
        choices: what may be predicted, by letter: ``{"a": "port 6666", "b": "a new port"}``.
        observe: called with what the student's cell made; looks at it and returns the letter of what is true of it now.
        why: one or two sentences on why it is so.
    """

    __slots__ = ("_choices", "_chosen", "_observe", "_question", "_why", "name")

    def __init__(
        self, name: str, *, question: str, choices: Mapping[str, str], observe: Callable[..., str], why: str
    ) -> None:
        self.name = name
        self._question = question
        self._choices = dict(choices)
        self._observe = observe
        self._why = why
        self._chosen: str | None = None

    def predict(self, choice: object = ...) -> Question:
        """Note what the student expects: one of the letters. Without one (or with ``...``) the question alone."""
        complaint = ""
        letter = choice.strip().lower() if isinstance(choice, str) else choice
        if choice is ...:
            self._chosen = None
        elif isinstance(letter, str) and letter in self._choices:
            self._chosen = letter
        else:
            self._chosen = None
            complaint = f"`{choice!r}` is none of the choices. Write one of {_either(tuple(self._choices.items()))}."
        return Question(self._question, tuple(self._choices.items()), self._chosen, complaint)

    def compare(self, *made: object) -> Comparison:
        """Look at what the cell made, and say what is true of it and whether it had been predicted. Never raises because of that."""
        try:
            letter = self._observe(*made)
        except Exception as error:  # whatever is not as the notebook left it: a student sees a sentence, not our frames
            return Comparison(
                f"It could not be seen this time ({type(error).__name__}: {error})",
                None,
                None,
                "Run the cells before this one again.",
            )
        predicted = self._choices[self._chosen] if self._chosen else None
        right = None if self._chosen is None else self._chosen == letter
        return Comparison(f"Seen: {self._choices[letter]}", predicted, right, self._why)

    def __repr__(self) -> str:
        return f"Prediction {self.name}: predict({_either(tuple(self._choices.items()))}), compare(...)"


def _either(choices: tuple[tuple[str, str], ...]) -> str:
    letters = [f'"{letter}"' for letter, _ in choices]
    return f"{', '.join(letters[:-1])} or {letters[-1]}"
