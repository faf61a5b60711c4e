"""Messages of JSON with their length in front, four bytes, big-endian. Answers {"add": [...]} with {"sum": ...}. Prints its port."""

import json
import socket
import struct
import threading


def recv_exactly(conn: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        piece = conn.recv(n - len(data))
        if not piece:
            raise EOFError("the client finished")
        data += piece
    return data


def serve(conn: socket.socket) -> None:
    with conn:
        while True:
            try:
                (length,) = struct.unpack("!I", recv_exactly(conn, 4))
            except EOFError:
                return
            question = json.loads(recv_exactly(conn, length))
            answer = json.dumps({"sum": sum(question["add"]), "note": question.get("note")}).encode()
            conn.sendall(struct.pack("!I", len(answer)) + answer)


with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        conn, _ = server.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()
