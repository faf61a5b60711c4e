"""The promise: a diagnosis is drawn as text and as HTML by pure functions: every string is escaped, widths hold, and the same value gives
the same drawing.
"""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socklens import Cause, Diagnosis, Fact
from socklens.display.diagnosis import WIDTH, as_html, as_text, body_text
from socklens.display.escape import cells

HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e\n\x00&amp;\"'"

texts = st.text(max_size=400) | st.sampled_from([HOSTILE, "x" * 1000, "漢" * 300, "a b " * 200, ""])


def diagnoses(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Diagnosis]:
    return st.builds(
        Diagnosis,
        error=texts,
        cause=st.sampled_from(list(Cause)),
        evidence=st.lists(st.builds(Fact, texts, texts), max_size=3).map(tuple),
        next_step=texts,
        unseen=st.lists(texts, max_size=2).map(tuple),
    )


class Words(HTMLParser):
    """The text of a drawing, and the tags that it is made of."""

    def __init__(self, drawing: str) -> None:
        super().__init__()
        self.text, self.tags, self.open = "", set[str](), list[str]()
        self.feed(drawing)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + "\n"


@given(diagnoses(texts))
def test_whatever_a_peer_sent_is_harmless(found: Diagnosis) -> None:
    drawn = Words(as_html(found))
    assert drawn.tags <= {"style", "div", "p", "table", "tbody", "tr", "th", "td", "ul", "li", "span", "strong"}
    assert drawn.open == []
    for text in (as_text(found), drawn.text):
        assert all(line.isprintable() for line in text.split("\n")), "nothing that steers a terminal"


@given(diagnoses(st.text(st.characters(codec="ascii"), max_size=900)))
def test_no_line_is_too_wide(found: Diagnosis) -> None:
    assert max(map(cells, as_text(found).split("\n"))) <= WIDTH


@given(diagnoses(texts))
def test_the_same_value_is_the_same_drawing(found: Diagnosis) -> None:
    same = Diagnosis(found.error, found.cause, found.evidence, found.next_step, found.unseen)
    assert same is not found
    assert (same, as_text(same), as_html(same)) == (found, as_text(found), as_html(found))
    assert str(found) == repr(found) == as_text(found)


def test_text() -> None:
    found = Diagnosis(
        "OSError: x", Cause.RESET, (Fact("one", "TCP_INFO"), Fact('"a\\n"', "totals")), "Do this", ("that: no time",)
    )
    assert as_text(found).split("\n") == [
        "OSError: x",
        "  cause  the peer reset the connection",
        "  seen   one [TCP_INFO]",
        '         "a\\n" [totals]',
        "  unseen that: no time",
        "  next   Do this",
    ]
    assert as_text(found) == "OSError: x\n" + body_text(found)


def test_html() -> None:
    found = Diagnosis("OSError: <x>", Cause.RESET, (Fact("one", "TCP_INFO"),), "Do this", ("that: no time",))
    drawn = Words(as_html(found))
    for words in ("OSError: <x>", "the peer reset the connection", "one", "TCP_INFO", "that: no time", "Do this"):
        assert words in drawn.text
    assert 'aria-label="Diagnosis of an error"' in as_html(found)
    assert "OSError" not in as_html(found, under_error=True)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_a_phrase(cause: Cause) -> None:
    assert cause.value.isprintable()
    assert cause.value[0].islower()
    assert not cause.value.endswith(".")
