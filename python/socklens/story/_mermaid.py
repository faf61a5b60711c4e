"""A story as the text of a Mermaid sequence diagram (mermaid.js.org). Pure; names and words are escaped as Mermaid asks, with #-codes."""

from __future__ import annotations

from collections.abc import Mapping

from ..display.ladder import Layout


def mermaid(layout: Layout) -> str:
    """The diagram's text."""
    lines = ["sequenceDiagram"]
    names: Mapping[int, str] = {i: f"s{column.socket}" for i, column in enumerate(layout.columns)}
    lines += [f"    participant {names[i]} as {_safe(column.label)}" for i, column in enumerate(layout.columns)]
    steps: list[tuple[int, int, str]] = []
    for mark in layout.marks:
        state = f" ({mark.state})" if mark.state else ""
        side = layout.columns[mark.column].outward
        steps.append((mark.row, 1, f"    Note {side} of {names[mark.column]}: {_safe(mark.text + state)}"))
    for arrow in layout.arrows:
        start, end = names[arrow.start[0]], arrow.end[0]
        if end is None:
            steps.append((arrow.start[1], 2, f"    {start}--x{start}: {_safe(arrow.text)}"))
        elif arrow.line == "bytes":
            steps.append((arrow.end[1], 0, f"    {start}->>{names[end]}: {_safe(arrow.text)}"))
        else:
            words = f"{arrow.text} (inferred)" if arrow.line == "inferred" else arrow.text
            steps.append((arrow.end[1], 0, f"    {start}-->>{names[end]}: {_safe(words)}"))
    steps.sort(key=lambda step: step[:2])
    lines += [text for _, _, text in steps]
    lines += [f"    %% {_safe(note)}" for note in layout.notes]
    return "\n".join(lines) + "\n"


def _safe(text: str) -> str:
    """Letters, digits and a few signs as they are; all else as the number of its character."""
    return "".join(c if c.isalnum() or c in " .,_-+*()[]/=" else f"#{ord(c)};" for c in text)
