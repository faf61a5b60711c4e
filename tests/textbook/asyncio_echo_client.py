"""HOST PORT: sends all of its input and takes the echo at the same time, until the server finishes."""

import asyncio
import sys


async def send(writer: asyncio.StreamWriter) -> None:
    while data := await asyncio.to_thread(sys.stdin.buffer.read, 4096):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def main() -> None:
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    sending = asyncio.create_task(send(writer))
    while data := await reader.read(4096):
        sys.stdout.buffer.write(data)
    sys.stdout.flush()
    await sending
    writer.close()
    await writer.wait_closed()


asyncio.run(main())
