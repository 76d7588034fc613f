"""The servers that are compared: how each is started, with every flag, and what it is asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["reference", "ladder", "ours", "peer"]


@dataclass(frozen=True)
class Protocol:
    """What a server is asked, and where the probabilities [3] are in its decoded answer."""

    path: str
    body: str
    probabilities: Callable[[Any], list[float]]


PLAIN = Protocol("/predict", '{"data": [[5.1, 3.5, 1.4, 0.2]]}', lambda answer: answer["prediction"])
V2 = Protocol(
    "/v2/models/iris/infer",
    '{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}',
    lambda answer: answer["outputs"][0]["data"],
)
"""The Open Inference Protocol."""


@dataclass(frozen=True)
class Server:
    """One server. In `command` and `environment`, names in braces are filled in when it is started.

    They are python, port, port2, port3, model (path), answer (a constant of the size of ours) and scratch (a folder).
    """

    name: str
    title: str
    kind: Kind
    command: str
    environment: dict[str, str] = field(default_factory=dict)
    protocol: Protocol = PLAIN
    peer: str | None = None
    """Name of the environment it needs, where that is not ours."""
    note: str = ""


def _by_mlsys(name: str, title: str, kind: Kind, target: str, **environment: str) -> Server:
    """A server under mlsys.serve: two uvicorn workers, uvloop, httptools, no access log of uvicorn's own."""
    variables = {"WORKERS": "2", "PORT": "{port}", "MODEL_PATH": "{model}", "ACCESS_LOG": "false"} | environment
    return Server(name, title, kind, "{python} -m mlsys.serve " + target, variables)


_LADDER = "benchmarks.web_single.ladder:"
_OURS = "chapter4_serving_patterns.web_single_pattern.app:create_app"
_MLSERVER = {
    "MLSERVER_DEBUG": "false",
    "MLSERVER_HOST": "127.0.0.1",
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "{port2}",
    "MLSERVER_METRICS_PORT": "{port3}",
    "MLSERVER_METRICS_DIR": "{scratch}",
    "MLSERVER_ENVIRONMENTS_DIR": "{scratch}",
    "MLSERVER_MODEL_URI": "{model}",
}


def _litserve(name: str, title: str, queue: str, note: str) -> Server:
    script = "benchmarks/.peers/litserve/bin/python benchmarks/web_single/peers/litserve_iris.py"
    return Server(name, title, "peer", f"{script} {{port}} {{model}} 2 {queue}", peer="litserve", note=note)


def _mlserver(name: str, title: str, workers: str, note: str) -> Server:
    command = "benchmarks/.peers/mlserver/bin/mlserver start benchmarks/web_single/peers/mlserver_iris"
    variables = _MLSERVER | {"MLSERVER_PARALLEL_WORKERS": workers}
    return Server(name, title, "peer", command, variables, V2, "mlserver", note)


SERVERS = (
    _by_mlsys("bare", "bare ASGI app", "reference", "benchmarks.web_single.bare:bare", ANSWER="{answer}"),
    _by_mlsys("json", "+ JSON by msgspec", "ladder", _LADDER + "json", ANSWER="{answer}"),
    _by_mlsys("model", "+ the model", "ladder", _LADDER + "model"),
    _by_mlsys("edge", "+ id, caps, errors, metrics", "ladder", _LADDER + "edge"),
    _by_mlsys("ours", "web single pattern (+ FastAPI)", "ours", _OURS),
    _by_mlsys("ours_access_log", "web single pattern, access log on", "ours", _OURS, ACCESS_LOG="true"),
    _by_mlsys("ordinary", "FastAPI + pydantic", "ladder", _LADDER + "ordinary"),
    _by_mlsys("ordinary_middleware", "+ one BaseHTTPMiddleware", "ladder", _LADDER + "ordinary_middleware"),
    _litserve(
        "litserve", "LitServe", "default", "2 HTTP and 2 inference processes, their default queue; access log off"
    ),
    _litserve("litserve_zmq", "LitServe, fast_queue", "zmq", "the same, their ZeroMQ queue (fast_queue=True)"),
    _mlserver("mlserver", "MLServer, 1 process", "0", "inference in the one HTTP process; access log off, metrics on"),
    _mlserver(
        "mlserver_parallel",
        "MLServer, 2 inference workers",
        "2",
        "one HTTP process, 2 inference processes; access log off, metrics on",
    ),
    Server(
        "bentoml",
        "BentoML",
        "peer",
        "benchmarks/.peers/bentoml/bin/bentoml serve bentoml_iris:Iris --working-dir benchmarks/web_single/peers"
        " --host 127.0.0.1 --port {port}",
        {"WORKERS": "2", "MODEL_PATH": "{model}", "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{scratch}"},
        peer="bentoml",
        note="2 processes; access log off, metrics on",
    ),
)
