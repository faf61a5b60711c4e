"""The servers that are measured, one way of serving a file: each listens on a free port of loopback and says which."""

HOST = "127.0.0.1"
# Every server's queue is as long as ours, and longer than the load ever needs.
BACKLOG = 1024
READ = 65536


class Missing(Exception):
    """Something that a contestant needs is not there: it cannot be measured, and the table says so."""
