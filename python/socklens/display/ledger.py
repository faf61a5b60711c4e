"""A ledger as a table, in text and in HTML. Pure functions of rows of words, which have passed `escape` where a peer may have chosen
them."""

from __future__ import annotations

import html
from collections.abc import Sequence

from .escape import cells
from .ladder_svg import css

_HEAD = ("send", "recv", "bytes", "count", "fate", "first of them")

Rows = Sequence[Sequence[str]]


def ledger_text(rows: Rows, more: int, summary: str, notes: Sequence[str] = ()) -> str:
    """The table as lines, and the sums and notes below it."""
    table = [_HEAD, *rows]
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(text + " " * (w - cells(text)) for text, w in zip(row, widths, strict=True)) for row in table]
    return "\n".join([*(line.rstrip() for line in lines), *([f"and {more:,} more"] if more else []), summary, *notes])


def ledger_html(rows: Rows, more: int, summary: str, notes: Sequence[str] = ()) -> str:
    """The sums, and the table below them in a frame that scrolls."""
    head = "".join(f"<th>{word}</th>" for word in _HEAD)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
    rest = f"<p>and {more:,} more</p>" if more else ""
    rest += "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return (
        f'<style>{css()}</style><div class="socklens-story"><p><strong>Ledger</strong> {html.escape(summary)}</p>'
        f'<div class="sl-scroll">{table}</div>{rest}</div>'
    )
