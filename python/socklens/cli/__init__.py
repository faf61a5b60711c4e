"""The `socklens` command: reads the arguments, calls the one command they name, and turns what goes wrong into one line
and an exit status. No socket is touched here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..display.screen import Screen, ScreenGone, discard_stdout
from .endpoint import FORMS, endpoint, needs_port, port_number
from .failure import tell

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

            return tour(Screen(sys.stdout), step=args.step)
        if args.command == "listen":
            from .netcat import listen

            return listen(*endpoint(args.endpoint, args.port, "listen"))
        if args.command == "connect":
            from .netcat import connect

            host, port = endpoint(args.endpoint, args.port, "connect")
            if port is None:
                raise needs_port(host, "connect")
            return connect(host, port)
        if args.command == "ports":
            from .ports import show_ports

            return show_ports(
                Screen(sys.stdout), port_number(args.port), state=args.state, pid=args.pid, watch=args.watch
            )
        if args.command == "course":
            from .course import course

            return course(Screen(sys.stdout), args.folder, student=args.student, opens=not args.no_open)
        parser.print_help()
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except ScreenGone:
        discard_stdout()
        return 1
    except (OSError, ValueError, OverflowError, TypeError, ImportError) as error:
        tell(error, Screen(sys.stderr))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="socklens",
        description="Real TCP sockets you can see through.",
        epilog="examples:\n  socklens tour --step\n  socklens listen 6666\n  socklens connect 127.0.0.1:6666\n"
        "  socklens ports --watch 6666",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"socklens {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    text = "seven steps from a listener to what is left after close, with real sockets"
    tour = commands.add_parser("tour", help=text, description=text)
    tour.add_argument("--step", action="store_true", help="wait for Enter after each step (in a terminal)")
    for name, text in (
        ("listen", "accept clients; typed lines go to every client, what they send is printed"),
        ("connect", "connect to a server; typed lines go to it, what it sends is printed"),
    ):
        command = commands.add_parser(name, help=text, description=text, usage=f"%(prog)s {FORMS}")
        command.add_argument("endpoint", metavar="HOST:PORT", help="for example 127.0.0.1:6666 or [::1]:6666")
        command.add_argument(
            "port", metavar="PORT", nargs="?", help="as a word of its own; without a host, on 127.0.0.1"
        )
    text = "the TCP sockets of this machine: ports, states, programs"
    ports = commands.add_parser("ports", help=text, description=text)
    ports.add_argument("port", metavar="PORT", nargs="?", help="only sockets with this port at either end")
    ports.add_argument("--state", metavar="STATE", help="only this state, such as LISTEN or TIME_WAIT")
    ports.add_argument("--pid", metavar="PID", type=int, help="only sockets of this process")
    ports.add_argument("--watch", action="store_true", help="look again every second, until Ctrl-C")
    text = "the course's notebooks: copies them to a folder of yours and opens JupyterLab there"
    course = commands.add_parser(
        "course", help=text, description=f"{text}. A notebook that you have changed is never written to."
    )
    course.add_argument("folder", metavar="DIR", nargs="?", help="where they go; socklens-course if left out")
    course.add_argument("--no-open", action="store_true", help="copy only")
    course.add_argument("--student", action="store_true", help="exam mode: a copy without solutions, hints and outputs")
    return parser
