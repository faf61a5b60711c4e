"""send() may take a part of the bytes, and says how many; nobody looks. With small buffers, to save memory, that shows early."""

import threading

import socklens as sl


def serve_one(conn):
    with conn:
        for line in conn.lines():
            conn.send(line)


def serve(host, port):
    with sl.listen(host, port, send_buffer=16384) as listener:
        for conn in listener:
            threading.Thread(target=serve_one, args=(conn,), daemon=True).start()
