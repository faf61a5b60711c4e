"""Finding a port that nobody has, for programs that must be told their port. It is asked of the kernel by binding, and let go again."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_LOWEST, _HIGHEST = 1024, 65535  # without privileges; ip(7)
_USUAL = (
    32768,
    60999,
)  # the kernel's own where it does not tell: Linux's, which has that of IANA (RFC 6335) nearly all in it
_TRIES = 1000
# The program's own random numbers are left alone: whoever has seeded them gets his, and two that are seeded alike not the same port.
_BY_CHANCE = random.SystemRandom()


def free_port() -> int:
    """A port that nobody has on any address of this machine, outside the kernel's own range (ip_local_port_range).

    Raises:
        OSError: none was found.
    """
    low, high = _kernels_own()
    outside = [port for port in range(_LOWEST, _HIGHEST + 1) if not low <= port <= high]
    possible = outside or range(_LOWEST, _HIGHEST + 1)
    for port in _BY_CHANCE.sample(possible, min(_TRIES, len(possible))):
        # Without SO_REUSEADDR: a port whose last connections are in TIME_WAIT is none for a program that does not set it either.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET) as four:
            four.bind(("", port))
            if socket.has_dualstack_ipv6():
                with socket.socket(socket.AF_INET6) as six:
                    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    six.bind(("::", port))
            return port
    raise OSError(f"no free port was found among {_TRIES} outside of {low} to {high}")


def _kernels_own() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    except OSError:
        return _USUAL
    return int(low), int(high)
