"""HOST PORT: asks for the sum of the numbers on each line of its input, as JSON with its length in front; prints the sums."""

import json
import socket
import struct
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as conn, conn.makefile("rb") as file:
    for line in sys.stdin:
        question = json.dumps({"add": [int(word) for word in line.split()]}).encode()
        conn.sendall(struct.pack("!I", len(question)) + question)
        (length,) = struct.unpack("!I", file.read(4))
        print(json.loads(file.read(length))["sum"], flush=True)
