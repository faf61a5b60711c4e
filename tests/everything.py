"""Every check of the project, one after the other, with a summary: what `make test` runs.

Nothing is checked in here: each step is a command that can as well be typed by hand. A step that this machine lacks something
for is skipped, with the reason; where CI is set that is a failure, so that nothing is left out there unseen.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CI = bool(os.environ.get("CI"))
TERMINAL = sys.stdout.isatty()
COLORS = {"✓": 32, "✗": 31, "–": 33} if TERMINAL and "NO_COLOR" not in os.environ else {}
CLEAR = "\r\033[K" if TERMINAL else ""
LIMIT = 1800.0  # seconds for one command: a hang is a failure

# The same in every cargo step, or each would configure pyo3 anew. abi3 needs no interpreter to be checked against.
CARGO = {"PYO3_NO_PYTHON": "1", "PYO3_BUILD_EXTENSION_MODULE": "1"}
CORE = "--no-default-features"
TARGETS = {
    "Windows": "x86_64-pc-windows-msvc",
    "macOS": "aarch64-apple-darwin",
    "Linux on ARM": "aarch64-unknown-linux-gnu",
}


@dataclass(frozen=True)
class Step:
    """Commands that must all succeed. `lacks` says what this machine lacks for them; `shown` shows their output in any case."""

    name: str
    commands: Sequence[Sequence[str | Path]]
    env: dict[str, str] = field(default_factory=dict)
    lacks: str = ""
    shown: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a step went: ✓ passed, ✗ failed, – skipped."""

    mark: str
    name: str
    seconds: float
    reason: str = ""

    def __str__(self) -> str:
        color = COLORS.get(self.mark)
        mark = f"\033[{color}m{self.mark}\033[0m" if color else self.mark
        return f"{mark} {self.name:<24}{self.seconds:7.1f} s   {self.reason}".rstrip()


def steps(scratch: Path) -> Iterator[Step]:
    """All of them, the quick ones first among their kind."""
    clippy = ["cargo", "clippy", "--quiet", "--all-targets"]
    strict = ["--", "-D", "warnings"]
    yield Step("cargo fmt", [["cargo", "fmt", "--check"]], lacks=lacks_component("fmt"))
    yield Step("clippy", [[*clippy, *strict]], CARGO, lacks_component("clippy"))
    yield Step("clippy, core", [[*clippy, CORE, *strict]], CARGO, lacks_component("clippy"))
    native = ["--manifest-path", "benches/native/Cargo.toml"]
    native_clippy = [*clippy, *native, "--target-dir", "target/native", *strict]
    yield Step("cargo fmt, benches", [["cargo", "fmt", "--check", *native]], lacks=lacks_component("fmt"))
    yield Step("clippy, benches", [native_clippy], lacks=lacks_component("clippy"))
    yield Step("cargo test, core", [["cargo", "test", CORE]], CARGO, shown=True)
    for system, target in TARGETS.items():
        check = ["cargo", "check", "--quiet", "--target", target]
        env = CARGO | {"RUSTFLAGS": "-D warnings"}
        # Of the tests too, as far as they are Rust: they are compiled, not linked.
        yield Step(f"check for {system}", [[*check, CORE, "--all-targets"], check], env, lacks_target(target))

    python: list[str | Path] = [sys.executable, "-m"]
    yield Step("ruff check", [[*python, "ruff", "check", "--quiet"]])
    yield Step("ruff format", [[*python, "ruff", "format", "--quiet", "--check"]])
    yield Step("mypy", [[*python, "mypy", "--no-error-summary"]])
    # The one stub that is written by hand; all else has its types where it stands.
    stubtest = ["mypy.stubtest", "--concise", "--mypy-config-file", "pyproject.toml", "socklens._socklens"]
    yield Step("stubtest", [[*python, *stubtest]])
    notebooks = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    lacks = "" if notebooks else "there are no notebooks yet"
    yield Step("notebooks stripped", [[*python, "nbstripout", "--keep-id", "--verify", *notebooks]], lacks=lacks)
    # Most tests wait for sockets, not for the processor: four at a time even on two cores. A file stays in one process; in the order
    # of names the long ones come early.
    beside = ["-n", "4", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "20"]
    yield Step("pytest", [[*python, "pytest", *beside]], shown=True)
    # After the tests, whose notebooks use the same ports.
    yield Step("docs", [[sys.executable, "docs/build.py"]], lacks=lacks_docs())

    clean = scratch / "bin"
    in_use = "import socklens; a, b = socklens.pair(); a.send(b'x'); assert b.recv(1) == b'x'; a.close(); b.close()"
    plugin = "import importlib.metadata as m, importlib.util as u; [p] = m.entry_points(group='pytest11'); assert u.find_spec(p.value)"
    install: list[Sequence[str | Path]] = [
        [*python, "venv", scratch],
        [clean / "python", "-m", "pip", "install", "--quiet", "."],
        [clean / "python", "-I", "-W", "error", "-c", in_use],
        [clean / "python", "-I", "-c", plugin],
        [clean / "socklens", "--version"],
        [clean / "socklens", "course", scratch / "course", "--no-open"],  # the wheel has the notebooks
    ]
    yield Step("pip install .", install, lacks="" if CI else "left to CI; here: make test CI=1 ONLY=pip")


def lacks_component(cargo_command: str) -> str:
    """The reason why `cargo clippy` or `cargo fmt` cannot run, or nothing."""
    asked = subprocess.run(["cargo", cargo_command, "--version"], cwd=ROOT, capture_output=True, check=False)
    component = {"fmt": "rustfmt"}.get(cargo_command, cargo_command)
    return "" if asked.returncode == 0 else f"not installed; rustup component add {component}"


def lacks_docs() -> str:
    """The reason why the pages cannot be built, or nothing."""
    there = all(importlib.util.find_spec(module) for module in ("sphinx", "myst_nb", "furo", "ipykernel"))
    return "" if there else "Sphinx and its kin are not installed; make docs"


def lacks_target(target: str) -> str:
    """The reason why Rust cannot check for `target`, or nothing."""
    asked = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, capture_output=True, text=True, check=True)
    there = Path(asked.stdout.strip(), "lib", "rustlib", target, "lib").is_dir()
    return "" if there else f"not installed; rustup target add {target}"


def run(step: Step) -> Outcome:
    """Runs the step's commands up to the first that fails; shows what they print as they go, or only on failure."""
    if step.lacks:
        return Outcome("✗" if CI else "–", step.name, 0.0, step.lacks)
    start = time.monotonic()
    reason = ""
    for command in step.commands:
        reason = failure(command, step)
        if reason:
            break
    return Outcome("✗" if reason else "✓", step.name, time.monotonic() - start, reason)


def failure(command: Sequence[str | Path], step: Step) -> str:
    """Why the command failed, or nothing. Its output has been shown then."""
    env = os.environ | {"CARGO_TERM_COLOR": "always" if COLORS else "never"} | step.env
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=None if step.shown else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,  # so that a command that hangs is ended with everything that it started
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
        reason = "" if process.returncode == 0 else f"exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        reason = f"not done within {LIMIT:.0f} s"
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        raise
    if reason and output:
        print(f"{CLEAR}$ {' '.join(map(str, command))}\n{output.decode(errors='replace').rstrip()}")
    return reason


def main(wanted: str) -> int:
    """Runs the steps whose name contains `wanted`, sums up, and returns the exit status."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="socklens-") as scratch:
        for step in steps(Path(scratch)):
            if wanted not in step.name:
                continue
            if step.shown:
                print(f"\n  {step.name}", flush=True)
            elif TERMINAL:
                print(f"… {step.name}", end="", flush=True)
            outcomes.append(run(step))
            print(f"{CLEAR}{outcomes[-1]}", flush=True)

    print(f"\n{' Summary ':─^79}", *outcomes, "─" * 79, sep="\n")
    marks = [outcome.mark for outcome in outcomes]
    seconds = sum(outcome.seconds for outcome in outcomes)
    print(f"{marks.count('✓')} passed, {marks.count('✗')} failed, {marks.count('–')} skipped in {seconds:.0f} s")
    return 0 if marks and "✗" not in marks else 1


if __name__ == "__main__":
    if shutil.which("cargo") is None:
        sys.exit("cargo was not found: install Rust with rustup")
    try:
        sys.exit(main(" ".join(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
