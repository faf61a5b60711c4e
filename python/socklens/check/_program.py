"""A program under check, whatever it is: started, asked, stopped. What each way of running one has to offer is said here."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from .._address import Address
from .._free_port import free_port
from ._ending import Ending
from ._target import LOOPBACK, Command, Function, Read


class Program(ABC):
    """One that the check talks to. Its methods never wait, except `stop` and `sweep`, which are done within three seconds each."""

    address: Address
    """Where it listens, or is told to."""

    ours = True
    """Whether the check has started it, and ends it."""

    @abstractmethod
    def start(self) -> None:
        """Starts it. It does not listen yet."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it is known to listen; False where only the kernel can tell."""

    @abstractmethod
    def ending(self) -> Ending | None:
        """How it has ended; None while it runs, or where that is not known."""

    def troubles(self) -> list[Ending]:
        """The exceptions that serving single clients raised, as far as they are known: the program goes on after them."""
        return []

    @abstractmethod
    def pids(self) -> frozenset[int]:
        """Its processes, as far as they are known."""

    def owns(self, pid: int) -> bool:
        """Whether a process is one of its own."""
        return pid in self.pids()

    @abstractmethod
    def output(self) -> str:
        """What it has printed so far."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it with everything that it has started and that has not gone elsewhere. Stopping twice does nothing."""

    @abstractmethod
    def sweep(self) -> None:
        """Ends what has gone elsewhere, after `stop`: daemons."""


class Elsewhere(Program):
    """One that runs already: it is only talked to."""

    ours = False

    def __init__(self, address: Address) -> None:
        self.address = address

    def start(self) -> None:
        """It runs."""

    def ready(self) -> bool:
        """Its address was given."""
        return True

    def ending(self) -> Ending | None:
        """Not known."""
        return None

    def pids(self) -> frozenset[int]:
        """The process that listens there, if this user may know."""
        from ._kernel import listener_pids

        return listener_pids(self.address)

    def output(self) -> str:
        """Not known."""
        return ""

    def stop(self) -> None:
        """It is not the check's to stop."""

    def sweep(self) -> None:
        """Nor what it has started."""


def program(target: Read) -> Program:
    """What runs the target as a server."""
    if isinstance(target, Command):
        from ._command import CommandLine

        return CommandLine(target, free_address())
    if isinstance(target, Function):
        if hasattr(os, "fork"):
            from ._forked import forked_server

            return forked_server(target, free_address())
        from ._inside import Inside

        return Inside(target)
    return Elsewhere(target.address)


def free_address() -> Address:
    """A port of the loopback that nobody has at this moment: a program that is told a port cannot choose one itself."""
    return Address(LOOPBACK, free_port())
