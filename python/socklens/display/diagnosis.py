"""A diagnosis as text and as HTML. Pure functions of a frozen value; nothing here looks at anything, and every string passes `escape`."""

from __future__ import annotations

import html
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from .escape import cut, escape
from .rows import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._explain import Diagnosis

WIDTH = 100
"""Columns of the text form."""

_LONGEST = 600
"""Characters of one string: an error's message may have any length."""


def as_text(found: Diagnosis) -> str:
    """The error, and what was found out about it."""
    return "\n".join([*_lines("", _clean(found.error), ""), body_text(found)])


def body_text(found: Diagnosis) -> str:
    """What was found out, for a place under the error itself."""
    lines = _lines("  cause  ", _clean(found.cause.value), " " * 9)
    for i, fact in enumerate(found.evidence):
        lines += _lines("  seen   " if i == 0 else " " * 9, f"{_clean(fact.text)} [{_clean(fact.source)}]", " " * 11)
    for i, what in enumerate(found.unseen):
        lines += _lines("  unseen " if i == 0 else " " * 9, _clean(what), " " * 11)
    return "\n".join([*lines, *_lines("  next   ", _clean(found.next_step), " " * 9)])


def as_html(found: Diagnosis, *, under_error: bool = False) -> str:
    """A box for a notebook; without the error itself where that stands above it."""
    error = "" if under_error else f"<p>{_safe(found.error)}</p>"
    rows = [_row("cause", f"<strong>{_safe(found.cause.value)}</strong>")]
    if found.evidence:
        seen = (
            f'<li>{_safe(fact.text)} <span class="socklens-source">{_safe(fact.source)}</span></li>'
            for fact in found.evidence
        )
        rows.append(_row("seen", _list(seen)))
    if found.unseen:
        rows.append(_row("unseen", _list(f"<li>{_safe(what)}</li>" for what in found.unseen)))
    rows.append(_row("next", f'<span class="socklens-next">{_safe(found.next_step)}</span>'))
    return (
        f'<style>{_css()}</style><div class="socklens-diagnosis" role="note" aria-label="Diagnosis of an error">'
        f"{error}<table><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(label: str, content: str) -> str:
    return f'<tr><th scope="row">{label}</th><td>{content}</td></tr>'


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(items)}</ul>"


def _safe(text: str) -> str:
    return html.escape(_clean(text))


def _clean(text: str) -> str:
    # Facts show bytes as escapes already; what else could steer a terminal is escaped here.
    return cut(escape(text, keep="\\"), _LONGEST)


def _lines(label: str, text: str, indent: str) -> list[str]:
    rows = wrapped(text.split(" "), WIDTH - len(indent or label), " ")
    return [(indent if i else label) + row for i, row in enumerate(rows)]


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("diagnosis.css").read_text(encoding="utf-8")
