"""The `socklens` command: reads the arguments, calls the one command they name, and turns what goes wrong into one line
and an exit status. No socket is touched here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..display.escape import escape
from ..display.screen import Screen, ScreenGone, discard_stdout

_INTERRUPTED = 128 + 2  # what a shell reports for a program that SIGINT ended


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0 done, 1 failed (one line on stderr says why), 130 interrupted.

    Raises:
        SystemExit: with status 2 for arguments that make no command, 0 for ``--help`` and ``--version``.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        if args.command == "tour":
            from .tour import tour

            return tour(Screen(sys.stdout))
        if args.command == "listen":
            from .netcat import listen

            return listen(args.endpoint)
        if args.command == "connect":
            from .netcat import connect

            return connect(args.endpoint)
        parser.print_help()
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except ScreenGone:
        discard_stdout()
        return 1
    except (OSError, ValueError, OverflowError, TypeError) as error:
        return _failed(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="socklens",
        description="Real TCP sockets you can see through.",
        epilog="examples:\n  socklens listen 127.0.0.1:6666\n  socklens connect 127.0.0.1:6666",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"socklens {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("tour", help="seven steps from a listener to what is left after close, with real sockets")
    for name, text in (
        ("listen", "accept clients; typed lines go to every client, what they send is printed"),
        ("connect", "connect to a server; typed lines go to it, what it sends is printed"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("endpoint", metavar="HOST:PORT", help="for example 127.0.0.1:6666, [::1]:6666")
    return parser


def _failed(error: Exception) -> int:
    """Prints the error's own sentence, without the "[Errno …]" in front, and returns the exit status."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    lines = (line.strip() for line in str(text).splitlines())
    Screen(sys.stderr).write(f"socklens: {escape('; '.join(filter(None, lines)))}\n")
    return 1
