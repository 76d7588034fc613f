"""What is started, as processes with every variable, and what each is asked."""

import json
from dataclasses import dataclass
from typing import NamedTuple

SURE, STRANGE = [5.1, 3.5, 1.4, 0.2], [51.0, 35.0, 14.0, 2.0]
_OUTLIER = {"score": 0.36, "outlier": False}
_PREDICTION = {"label": "setosa", "probabilities": [0.98, 0.01, 0.01]}
_PACKAGE = "chapter4_serving_patterns.vertical_microservice_pattern"
_SERVE = "{python} -m mlsys.serve "
_COMMON = {"PORT": "{port}", "WORKERS": "1", "ACCESS_LOG": "false"}
_STAGES = ", ".join(
    f'{{{{"name": "{name}", "url": "http://127.0.0.1:{{{name}}}"}}}}' for name in ("outlier", "prediction", "decision")
)


@dataclass(frozen=True)
class Process:
    """One process. Names in braces are filled in when it is started; those of stages are their ports."""

    name: str
    command: str
    environment: dict[str, str]


PROCESSES = (
    Process("outlier", f"{_SERVE}{_PACKAGE}.outlier:create_app", _COMMON | {"OUTLIER_MODEL_PATH": "{outlier_model}"}),
    Process("prediction", f"{_SERVE}{_PACKAGE}.prediction:create_app", _COMMON | {"MODEL_PATH": "{model}"}),
    Process("decision", f"{_SERVE}{_PACKAGE}.decision:create_app", _COMMON),
    Process("chain", f"{_SERVE}{_PACKAGE}.app:create_app", _COMMON | {"STAGES": f"[{_STAGES}]"}),
    Process(
        "fused",
        f"{_SERVE}benchmarks.vertical.fused:create_app",
        _COMMON | {"MODEL_PATH": "{model}", "OUTLIER_MODEL_PATH": "{outlier_model}"},
    ),
)
"""In the order in which they are started: the chain finds its stages."""
SPLIT = ("outlier", "prediction", "decision", "chain")


class Target(NamedTuple):
    """One row: what it is called, the process that is asked, all that work for it, and the request."""

    name: str
    process: str
    working: tuple[str, ...]
    path: str
    body: str


def _body(flower: list[float], **so_far: object) -> str:
    return json.dumps({"data": [flower]} | ({"so_far": so_far} if so_far else {}))


TARGETS = (
    Target("outlier alone", "outlier", ("outlier",), "/stage", _body(SURE)),
    Target("prediction alone", "prediction", ("prediction",), "/stage", _body(SURE, outlier=_OUTLIER)),
    Target(
        "decision alone", "decision", ("decision",), "/stage", _body(SURE, outlier=_OUTLIER, prediction=_PREDICTION)
    ),
    Target("chain", "chain", SPLIT, "/predict", _body(SURE)),
    Target("chain, an outlier", "chain", SPLIT, "/predict", _body(STRANGE)),
    Target("one process", "fused", ("fused",), "/predict", _body(SURE)),
    Target("one process, an outlier", "fused", ("fused",), "/predict", _body(STRANGE)),
)
STAGES = ("outlier alone", "prediction alone", "decision alone")
