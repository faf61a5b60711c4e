"""The two native programs: built once in a run, by cargo, and started. What they do is in `native/src`."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "native" / "Cargo.toml"
TARGET = HERE.parent / "target" / "native"
# The load gives up by itself before that.
PATIENCE = 120.0


class Report(NamedTuple):
    """What one run of the load did between its warm-up and its end."""

    operations: int
    seconds: float
    load_cpu: float  # processor seconds of the load
    server_cpu: float  # and of the processes that it was told to watch
    counted: int  # how far the computing went


@functools.cache
def build() -> Path:
    """The directory of the two programs, as new as their sources."""
    if shutil.which("cargo") is None:
        raise RuntimeError(
            "cargo was not found: the server cases need Rust to build their load; install it with rustup"
        )
    command: list[str | Path] = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", MANIFEST]
    command += ["--target-dir", TARGET]
    subprocess.run(command, check=True)
    return TARGET / "release"


def load(mode: str, port: int, options: Sequence[str]) -> Report:
    """Runs the load once, on the core where this process is; it has compared every byte."""
    command: list[str | Path] = [build() / "load", mode, f"127.0.0.1:{port}", *options]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr.strip() or f"the load ended with status {done.returncode}")
    return report(done.stdout)


def report(line: str) -> Report:
    """One line of the load's, understood."""
    said = json.loads(line)
    return Report(*(said[name] for name in Report._fields))
