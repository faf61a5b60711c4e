"""HOST PORT: the connection as a file of text, line by line."""

import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as conn, conn.makefile("rw", encoding="utf-8") as file:
    for line in sys.stdin:
        print(line, end="", file=file, flush=True)
        print(file.readline(), end="", flush=True)
