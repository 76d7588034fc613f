"""Makes a model server slow for the demo: passes every byte on, and answers later by as many seconds as it is told.

`python -m chapter4_….proxy HOST PORT` prints the port that it listens on; each line on its standard input is a number
of seconds from then on; it ends with its standard input. What the caller sees is what it sees of a model that takes so
long: a connection on which nothing comes.
"""

import asyncio
import contextlib
import sys

Chunks = asyncio.Queue[tuple[float, bytes]]


class Proxy:
    """delay_s: seconds between an answer of the server and its arrival at the caller."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.delay_s = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        try:
            there, back = await asyncio.open_connection(self._host, self._port)
        except OSError:  # the caller sees what it would see of the server: no connection
            writer.close()
            return
        chunks: Chunks = asyncio.Queue()
        ways = (self._pass_on(reader, back), self._receive(there, chunks), self._deliver(chunks, writer))
        tasks = [asyncio.create_task(way) for way in ways]
        with contextlib.suppress(asyncio.CancelledError):  # the demo is over; Python 3.11 would print a traceback
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        back.close()
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)

    async def _receive(self, reader: asyncio.StreamReader, chunks: Chunks) -> None:
        """Note when each part of an answer is due; they must not be delayed one after the other."""
        loop = asyncio.get_running_loop()
        while chunk := await reader.read(65536):
            chunks.put_nowait((loop.time() + self.delay_s, chunk))

    async def _deliver(self, chunks: Chunks, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(due - loop.time())
            writer.write(chunk)


async def main(host: str, port: int) -> None:
    """Listen until standard input ends. Raises: OSError."""
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        proxy.delay_s = float(line)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
