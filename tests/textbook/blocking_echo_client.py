"""HOST PORT: sends each line of its input, waits for the whole line to come back, prints it."""

import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as conn:
    for line in sys.stdin.buffer:
        conn.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            data = conn.recv(1024)
            if not data:
                sys.exit("the server finished in the middle of a line")
            answer += data
        sys.stdout.buffer.write(answer)
        sys.stdout.flush()
