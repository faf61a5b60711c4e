"""What to call another program, and how to end it: by its script, or as a notebook's kernel. Reads /proc/PID/cmdline and ends nothing."""

from __future__ import annotations

import os

_MOST = 4096  # bytes of a command line
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def called(pid: int, program: str | None) -> str:
    """The program with its process.

    Args:
        pid: the process.
        program: what the kernel calls it; None if that is not known.
    """
    words = _command(pid)
    if _is_kernel(words):
        return f"a notebook's kernel ({program or 'Python'}, process {pid})"
    script = _script(words)
    if script is None or script[:15] == program:  # the kernel keeps 15 characters
        return f"{program or 'a program'} (process {pid})"
    from .display.escape import cut, escape

    return f"`{cut(escape(script), 60)}` ({program or 'Python'}, process {pid})"


def ending(pid: int) -> str:
    """How to end it, as the beginning of a sentence."""
    if pid == os.getppid():
        return "Leave that program, which has started this one"
    if _is_kernel(_command(pid)):
        return "Shut that kernel down in JupyterLab"
    return f"End it, for example with: kill {pid}" if os.name == "posix" else "End it"


def _command(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read(_MOST).split(b"\0")]
    except OSError:
        return []  # another system, or it has ended


def _is_kernel(words: list[str]) -> bool:
    return any(word == "ipykernel_launcher" or word.endswith("ipykernel_launcher.py") for word in words)


def _script(words: list[str]) -> str | None:
    """What Python runs there: a file's name, or ``python -m`` with a module's; None for another program and for ``python -c``."""
    if not words or not os.path.basename(words[0]).startswith("python"):
        return None
    rest = iter(words[1:])
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif word == "-m":
            module = next(rest, "")
            return f"python -m {module}" if module else None
        elif word[:2] == "-c" or word in ("", "-"):
            return None
        elif word[:1] != "-":
            return os.path.basename(word)
    return None
