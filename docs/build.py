"""Builds the pages into build/docs, every warning an error, and looks whether they fetch anything from elsewhere: what `make docs` runs.

The notebooks are run for it, once each, so it takes a minute or two. `python docs/build.py DIRECTORY` builds into another place.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sphinx.cmd.build import build_main

SOURCE = Path(__file__).resolve().parent
# What a browser loads by itself. A link is followed only by who clicks it.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?![^>]*\brel=["']?(?:canonical|next|prev|search|index))[^>]*\bhref=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|@import\s+[^;]*//[^;]+|url\(\s*["']?(?:https?:)?//[^)]+"""
    r"""|\b(?:import|fetch)\(\s*["'](?:https?:)?//[^"']+""",
    re.IGNORECASE,
)


def foreign(pages: Path) -> Iterator[str]:
    """Everything that a page, a style or a script would fetch from another machine."""
    for path in sorted(pages.rglob("*")):
        if path.suffix in {".html", ".css", ".js"}:
            for found in FETCHED.finditer(path.read_text(encoding="utf-8")):
                yield f"{path.relative_to(pages)}: {found[0][:200]}"


def main(target: Path) -> int:
    """Builds, checks, tells where the pages are, and returns the exit status."""
    begun = time.monotonic()
    if (target / ".buildinfo").exists():
        shutil.rmtree(target)  # what Sphinx made before: a page that is gone must not stay
    # As in an environment that is activated: cells look for `socklens` there, to say how it is called.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    status: int = build_main(
        ["-b", "html", "-E", "-a", "-n", "-W", "--keep-going", "-q", "-d", str(target.with_name(f"{target.name}-doctrees")),
         str(SOURCE), str(target)]
    )  # fmt: skip
    if status:
        return status
    fetched = list(foreign(target))
    for line in fetched:
        print(f"fetched from elsewhere: {line}", file=sys.stderr)
    print(f"{target / 'index.html'} ({len(list(target.rglob('*.html')))} pages, {time.monotonic() - begun:.0f} s)")
    return 1 if fetched else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else SOURCE.parent / "build" / "docs").resolve()))
