"""Predictions of the lessons: the answer is noted before, what is true is looked at after, and nothing is told beforehand."""

from __future__ import annotations

import pytest
import socklens as sl
from socklens.lessons import Prediction


def _whose_port() -> Prediction:
    def observe(listener: sl.Listener, accepted: sl.Connection) -> str:
        return "a" if accepted.local_addr.port == listener.local_addr.port else "b"

    return Prediction(
        "whose_port",
        question="Which local port does `accepted` have?",
        choices={"a": "the listener's", "b": "a <new> one"},
        observe=observe,
        why="What tells sockets apart is the four-tuple.",
    )


@pytest.mark.parametrize(("choice", "right"), [("a", True), (" A ", True), ("b", False)])
def test_what_was_predicted_is_compared_with_what_is_seen(choice: str, right: bool) -> None:
    prediction = _whose_port()
    question = prediction.predict(choice)
    assert "Noted" in repr(question)
    with sl.listen() as listener, sl.connect(listener.local_addr), listener.accept() as accepted:
        comparison = prediction.compare(listener, accepted)
    assert comparison.right is right
    assert bool(comparison) is right
    assert "Seen: the listener's." in repr(comparison)
    assert ("You predicted: a <new> one." in repr(comparison)) is not right
    assert "a <new> one" not in comparison._repr_html_()


def test_without_a_prediction_the_answer_is_seen_all_the_same() -> None:
    prediction = _whose_port()
    prediction.predict("b")
    question = prediction.predict(...)
    assert question.chosen is None
    assert '"a" or "b"' in repr(question)
    with sl.listen() as listener, sl.connect(listener.local_addr), listener.accept() as accepted:
        comparison = prediction.compare(listener, accepted)
    assert comparison.right is None
    assert repr(comparison).startswith("Not predicted: Seen: the listener's.")


@pytest.mark.parametrize("choice", ["c", "", 1, None, ["a"]])
def test_a_choice_that_is_none_is_told_so(choice: object) -> None:
    question = _whose_port().predict(choice)
    assert question.chosen is None
    assert "none of the choices" in repr(question)


def test_what_cannot_be_seen_is_a_sentence() -> None:
    prediction = _whose_port()
    prediction.predict("a")
    comparison = prediction.compare(None, None)
    assert comparison.right is None
    assert "could not be seen" in repr(comparison)


def test_they_draw_themselves_with_every_value_escaped() -> None:
    drawn = _whose_port().predict("b")._repr_html_()
    assert "socklens-lesson-question" in drawn
    assert "a &lt;new&gt; one" in drawn
    assert "<code>accepted</code>" in drawn
    assert '<li class="chosen"><code>b</code>' in drawn
