import asyncio
import ssl

from chatserver.upstream.exchange import Exchanges

MEGABYTE = bytes(2**20)
#: More than this is never read while others wait.
MOST = 16 * 1024


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"{}")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MEGABYTE) + MEGABYTE)
    await writer.drain()
    writer.close()


async def test_a_server_that_is_faster_than_we_are_leaves_the_loop_to_others_in_between():
    sizes: list[int] = []
    turns: set[int] = set()
    turn = 0

    def take(body: bytes) -> bool:
        sizes.append(len(body))
        turns.add(turn)
        return False

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with Exchanges(f"http://{host}:{port}", 5, ssl.create_default_context()).post(
            "/", b"{}", take
        ) as exchange:
            while not exchange.complete.done():
                await asyncio.sleep(0)
                turn += 1
    assert sum(sizes) == len(MEGABYTE)
    assert max(sizes) <= MOST
    assert len(turns) == len(sizes)
