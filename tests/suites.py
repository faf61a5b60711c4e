"""What the tests of the pytest plugin share: a small suite of somebody else's, and how it went."""

from __future__ import annotations

import pytest


def suite(pytester: pytest.Pytester, code: str, *options: str, apart: bool = False) -> pytest.RunResult:
    """A file of tests, run with the plugin, `apart` from this process if it leaves something behind.

    `-p` finds the plugin also where the installed metadata are older than its entry point.
    """
    pytester.makepyfile("import socket, threading, time\nimport pytest\nimport socklens as sl\n\n" + code)
    run = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    return run("-p", "socklens_pytest", "-p", "no:cacheprovider", *options)
