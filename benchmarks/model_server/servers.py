"""The servers that are measured: how each is started, with every variable."""

from dataclasses import dataclass

from mlsys.server.settings import Settings

BOUNDS = (1, 2, 4, 8, 16, 32)
WORKERS, THREADS = (1, 2, 4), (1, 2)
OFF = "max_batch_1"
DEFAULT = "default"


@dataclass(frozen=True)
class Server:
    """One server. In `command` and `environment`, names in braces are filled in when it is started.

    They are python, port (REST), port2 (gRPC), port3, scratch (a folder), models (what ours serves) and small (a file).
    """

    name: str
    command: str
    environment: dict[str, str]
    note: str = ""


@dataclass(frozen=True)
class Shipped:
    """What our server does if it is told nothing."""

    max_batch: int
    workers: int
    threads: int


def shipped() -> Shipped:
    """From the defaults of its settings."""
    fields = Settings.model_fields
    return Shipped(*(fields[name].default for name in ("max_batch", "workers", "model_threads")))


def bound(max_batch: int) -> str:
    """The name of ours with this bound on its batches, and else as shipped."""
    return DEFAULT if max_batch == shipped().max_batch else f"max_batch_{max_batch}"


def threads(workers: int, threads: int) -> str:
    """The name of ours with so many inferences at a time and so many threads for each, and else as shipped."""
    found = (workers, threads) == (shipped().workers, shipped().threads)
    return DEFAULT if found else f"workers_{workers}_threads_{threads}"


def _ours(name: str, **variables: int) -> Server:
    environment = {"MODELS": "{models}", "PORT": "{port}", "GRPC_PORT": "{port2}", "ACCESS_LOG": "false"}
    command = "{python} -m mlsys.server"
    return Server(name, command, environment | {key: str(value) for key, value in variables.items()})


def _mlserver(name: str, note: str, **more: str) -> Server:
    variables = {
        "MLSERVER_DEBUG": "false",
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": "{port2}",
        "MLSERVER_METRICS_PORT": "{port3}",
        "MLSERVER_METRICS_DIR": "{scratch}",
        "MLSERVER_ENVIRONMENTS_DIR": "{scratch}",
        "MLSERVER_MODEL_URI": "{small}",
        "MLSERVER_PARALLEL_WORKERS": "0",
    }
    command = "benchmarks/.peers/mlserver/bin/mlserver start benchmarks/model_server/mlserver"
    return Server(name, command, variables | more, f"{note}; access log off, metrics on")


_BATCHING = {"MLSERVER_MODEL_MAX_BATCH_SIZE": "16", "MLSERVER_MODEL_MAX_BATCH_TIME": "0.005"}
_TWO = {"MLSERVER_PARALLEL_WORKERS": "2"}
MLSERVERS = (
    _mlserver("mlserver", "one process, inference in its event loop"),
    _mlserver("mlserver_batching", "the same, adaptive batching on", **_BATCHING),
    _mlserver("mlserver_threads", "one process, inference in threads beside its event loop", ONNX_IN_THREADS="1"),
    _mlserver("mlserver_workers", "2 inference processes", **_TWO),
    _mlserver("mlserver_workers_batching", "2 inference processes, adaptive batching on", **_TWO, **_BATCHING),
)
_OURS = (
    _ours(DEFAULT),
    *(_ours(bound(each), MAX_BATCH=each) for each in BOUNDS),
    *(_ours(threads(each, n), WORKERS=each, MODEL_THREADS=n) for each in WORKERS for n in THREADS),
)
SERVERS = {server.name: server for server in (*reversed(_OURS), *MLSERVERS)}
"""By name; reversed, so that of several of one name the one that sets nothing stays."""
