"""The load for gRPC, as wrk is for REST: `python -m benchmarks.model_server.grpc_load PORT FILE CLIENTS SECONDS`.

FILE holds a serialised request. Each client has a connection of its own and waits for one answer before it asks again.
Requests and answers stay bytes. Ends with one line of JSON that benchmarks.load reads.
"""

import asyncio
import sys
import time
from pathlib import Path

import grpc
import msgspec

from ..load import Load

METHOD = "/inference.GRPCInferenceService/ModelInfer"
TIMEOUT_S = 10.0


async def load(port: int, body: bytes, clients: int, seconds: float) -> Load:
    """Ask for so many seconds. Requests that fail are counted, and the first said on stderr."""
    options = [("grpc.use_local_subchannel_pool", 1)]  # else channels to one place share one connection
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(clients)]
    await asyncio.gather(*(asyncio.wait_for(channel.channel_ready(), TIMEOUT_S) for channel in channels))
    began, used = time.perf_counter(), time.process_time()
    found = await asyncio.gather(*(_client(channel, body, began + seconds) for channel in channels))
    duration, used = time.perf_counter() - began, time.process_time() - used
    await asyncio.gather(*(channel.close() for channel in channels))
    latencies = sorted(latency for one, _ in found for latency in one) or [0]
    refused = sum(refusals for _, refusals in found)
    return Load(
        requests=sum(len(one) for one, _ in found) + refused,
        duration_us=int(duration * 1e6),
        p50_us=int(latencies[len(latencies) // 2] * 1e6),
        p99_us=int(latencies[len(latencies) * 99 // 100] * 1e6),
        refused=refused,
        socket_errors=0,
        cpu_us=int(used * 1e6),
    )


async def _client(channel: grpc.aio.Channel, body: bytes, end: float) -> tuple[list[float], int]:
    """Seconds of each answer, and the number of refusals."""
    call = channel.unary_unary(METHOD)
    latencies: list[float] = []
    refused = 0
    while (sent := time.perf_counter()) < end:
        try:
            await call(body, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if not refused:
                print(error.details(), file=sys.stderr)
            refused += 1
            continue
        latencies.append(time.perf_counter() - sent)
    return latencies, refused


if __name__ == "__main__":
    port, file, clients, seconds = sys.argv[1:]
    print(
        msgspec.json.encode(
            asyncio.run(load(int(port), Path(file).read_bytes(), int(clients), float(seconds)))
        ).decode()
    )
