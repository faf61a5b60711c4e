"""send() may take a part of the bytes, and says how many; nobody looks."""

import socklens as sl


def serve_one(conn):
    rest = b""
    while data := conn.recv(65536):
        lines, newline, rest = (rest + data).rpartition(b"\n")
        conn.send(lines + newline)


def serve(host, port):
    sl.Server(serve_one, host, port).start().join()
