"""What a check found, as text and as HTML. Pure functions of a frozen value; whatever a program printed or sent passes `escape`."""

from __future__ import annotations

import html
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from .escape import cut, escape
from .rows import wrapped

if TYPE_CHECKING:
    from ..check import Result, Step
    from .ladder import Layout

WIDTH = 100
"""Columns of the text form."""

_MOST_BYTES = 48
_MOST_LINES = 12
_LABEL = 10
_LONGEST_TARGET = 48
_SIGNS = {"passed": "✓", "failed": "✗", "left out": "–", "not run": "·"}


def as_text(result: Result) -> str:
    """The verdict first, then what it is grounded on."""
    lines = [cut(f"{_verdict(result)}: {_what(result)}", WIDTH)]
    failed = result.failed_step
    if failed is not None:
        lines += _row("at", _clean(failed.name))
    if result.reason:
        lines += _row("why", _clean(result.reason))
    if result.mistake is not None:
        lines += _row("mistake", _clean(result.mistake.value))
    if failed is not None and failed.expected is not None:
        lines += [
            cut(f"{'  expected':<{_LABEL + 2}}{shown(failed.expected)}", WIDTH),
            cut(f"{'  got':<{_LABEL + 2}}{shown(failed.actual)}", WIDTH),
        ]
    if result.mistake is not None:
        lines += _row("next", _clean(result.mistake.advice))
    reached = _reached(result)
    for i, step in enumerate(reached):
        lines += _row("steps" if i == 0 else "", _step(step))
    if len(reached) < len(result.steps):
        lines += _row("", _more(result))
    if not result.passed:
        if result.output.strip():
            printed = _printed(result.output)
            lines += [
                f"{('  printed' if i == 0 else ''):<{_LABEL + 2}}{cut(line, WIDTH - _LABEL - 2)}"
                for i, line in enumerate(printed)
            ]
        layout = _layout(result)
        if layout is not None:
            from .ladder_text import ladder_text

            lines.append("  the check's own calls in that step:")
            lines += ["    " + line for line in ladder_text(layout, WIDTH - 4).split("\n")[1:]]
    return "\n".join(lines)


def as_html(result: Result) -> str:
    """A box for a notebook: the verdict and its ground in sight, the rest folded."""
    kind = "passed" if result.passed else "failed"
    parts = [f"<p><strong>{_safe(_verdict(result))}</strong> {_safe(_what(result))}</p>"]
    rows = []
    failed = result.failed_step
    if failed is not None:
        rows.append(_html_row("at", _safe(failed.name)))
    if result.reason:
        rows.append(_html_row("why", f"<strong>{_safe(result.reason)}</strong>"))
    if result.mistake is not None:
        rows.append(_html_row("mistake", _safe(result.mistake.value)))
    if failed is not None and failed.expected is not None:
        rows.append(_html_row("expected", f"<code>{html.escape(shown(failed.expected))}</code>"))
        rows.append(_html_row("got", f"<code>{html.escape(shown(failed.actual))}</code>"))
    if result.mistake is not None:
        rows.append(_html_row("next", f'<span class="socklens-next">{_safe(result.mistake.advice)}</span>'))
    if rows:
        parts.append(f"<table><tbody>{''.join(rows)}</tbody></table>")
    reached = _reached(result)
    steps = "".join(
        f'<li class="socklens-step-{step.outcome.value.replace(" ", "-")}">{_safe(_step(step))}</li>'
        for step in reached
    )
    if len(reached) < len(result.steps):
        steps += f'<li class="socklens-step-not-run">{_more(result)}</li>'
    parts.append(_folded("steps", f"<ul>{steps}</ul>", opened=not result.passed))
    if not result.passed:
        if result.output.strip():
            printed = html.escape("\n".join(_printed(result.output)))
            parts.append(_folded("what the program printed", f"<pre>{printed}</pre>", opened=True))
        layout = _layout(result)
        if layout is not None:
            from .ladder_svg import css, ladder_svg

            drawing = f'<div class="sl-scroll">{ladder_svg(layout, standalone=False)}</div>'
            drawing = f'<style>{css()}</style><div class="socklens-story">{drawing}</div>'
            parts.append(_folded("the check's own calls in that step", drawing, opened=True))
    label = f'role="note" aria-label="Check {html.escape(_verdict(result))}"'
    return f'<style>{_css()}</style><div class="socklens-check socklens-check-{kind}" {label}>{"".join(parts)}</div>'


def shown(value: object) -> str:
    """Bytes as Python writes them, shortened; words as they are; anything else by its repr."""
    if isinstance(value, bytes | bytearray):
        data = bytes(value)
        if not data:
            return "nothing"
        more = f" … {len(data):,} bytes" if len(data) > _MOST_BYTES else ""
        return repr(data[:_MOST_BYTES]) + more
    if isinstance(value, str):
        return _clean(value)
    return "nothing" if value is None else cut(escape(repr(value), keep="\\"), 400)


def _reached(result: Result) -> list[Step]:
    return [step for step in result.steps if step.outcome.value != "not run"]


def _more(result: Result) -> str:
    return f"{_SIGNS['not run']} {len(result.steps) - len(_reached(result))} more were not run"


def _verdict(result: Result) -> str:
    return "passed" if result.passed else "failed"


def _what(result: Result) -> str:
    target = f" `{cut(_clean(result.target), _LONGEST_TARGET)}`" if result.target else ""
    count = len(result.steps)
    done = len([step for step in result.steps if step.outcome.value == "passed"])
    steps = f"{done} of {count} steps" if done < count else f"{count} steps"
    return f"{_clean(result.name)}{target} ({steps}, {result.seconds:.1f} s)"


def _step(step: Step) -> str:
    took = f"  {step.seconds:.2f} s" if step.outcome.value in ("passed", "failed") else ""
    why = f": {_clean(step.detail)}" if step.outcome.value == "left out" else ""
    note = f" ({step.outcome.value}{why})" if step.outcome.value in ("left out", "not run") else ""
    return f"{_SIGNS[step.outcome.value]} {_clean(step.name)}{note}{took}"


def _printed(output: str) -> list[str]:
    lines = [escape(line, keep="\\\t").replace("\t", "    ") for line in output.rstrip().split("\n")]
    if len(lines) > _MOST_LINES:
        dropped = len(lines) - _MOST_LINES
        lines = [*lines[:3], f"… {dropped + 1:,} lines more …", *lines[-(_MOST_LINES - 4) :]]
    return lines


def _layout(result: Result) -> Layout | None:
    if not result.events:
        return None
    from ..story._cast import cast
    from ..story._ledger import ledger
    from .ladder import layout

    return layout(result.events, cast(result.events), ledger(result.events))


def _row(label: str, text: str) -> list[str]:
    rows = wrapped(text.split(" "), WIDTH - _LABEL - 2, " ")
    return [f"{('  ' + label if i == 0 and label else ''):<{_LABEL + 2}}{row}" for i, row in enumerate(rows)]


def _html_row(label: str, content: str) -> str:
    return f'<tr><th scope="row">{label}</th><td>{content}</td></tr>'


def _folded(label: str, content: str, *, opened: bool) -> str:
    return f"<details{' open' if opened else ''}><summary>{html.escape(label)}</summary>{content}</details>"


def _safe(text: str) -> str:
    return html.escape(_clean(text))


def _clean(text: str) -> str:
    return cut(escape(text, keep="\\"), 800)


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("check.css").read_text(encoding="utf-8")
