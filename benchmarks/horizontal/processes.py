"""What is compared, as processes with every variable. Names in braces are ports of what was started before."""

from dataclasses import dataclass

from mlsys.iris import LABELS

_PATTERN = "chapter4_serving_patterns.horizontal_microservice_pattern"
_QUIET = {"PORT": "{port}", "ACCESS_LOG": "false", "LOG_LEVEL": "error"}
_URLS = {f"{name.upper()}_URL": f"http://127.0.0.1:{{{name}}}" for name in LABELS}
_SLOW_URL = "http://127.0.0.1:{slow_1}"
SLOW_SHARE, SLOW_S = 0.05, 0.2


@dataclass(frozen=True)
class Process:
    """One server."""

    name: str
    target: str
    environment: dict[str, str]

    @property
    def command(self) -> str:
        """What starts it."""
        return f"{{python}} -m mlsys.serve {self.target}"


def _service(name: str) -> Process:
    model = {"MODEL_PATH": f"models/iris_binary_{name}/model.onnx"}
    return Process(name, f"{_PATTERN}.service:create_app", _QUIET | model)


def _slow(number: int) -> Process:
    share = {"SLOW_SHARE": str(SLOW_SHARE), "SLOW_S": str(SLOW_S), "SLOW_SEED": str(number)}
    model = {"MODEL_PATH": "models/iris_binary_virginica/model.onnx"}
    return Process(f"slow_{number}", "benchmarks.horizontal.slow:create_app", _QUIET | model | share)


def _proxy(name: str, **environment: str) -> Process:
    return Process(name, f"{_PATTERN}.app:create_app", _QUIET | _URLS | environment)


SERVICES = tuple(_service(name) for name in LABELS)
SLOW = (_slow(1), _slow(2))
OURS = _proxy("this pattern", WORKERS="2")
HTTPX = Process("the same with httpx", "benchmarks.horizontal.with_httpx:create_app", _QUIET | _URLS | {"WORKERS": "2"})
BARE = Process("bare aiohttp", "benchmarks.horizontal.bare:create_app", _QUIET | _URLS | {"WORKERS": "2"})
PROXIES = (OURS, HTTPX, BARE)
NO_SLOW, ALL, DEADLINE, QUORUM, HEDGE = TAIL = (
    _proxy("all, none slow", POLICY="all", BRANCH_TIMEOUT_S="5"),
    _proxy("all, no deadline", POLICY="all", BRANCH_TIMEOUT_S="5", VIRGINICA_URL=_SLOW_URL),
    _proxy("best effort, 50 ms", POLICY="best_effort", BRANCH_TIMEOUT_S="0.05", VIRGINICA_URL=_SLOW_URL),
    _proxy("quorum of 2", POLICY="quorum=2", BRANCH_TIMEOUT_S="5", VIRGINICA_URL=_SLOW_URL),
    _proxy("all, hedged", POLICY="all", BRANCH_TIMEOUT_S="5", VIRGINICA_URL=f"{_SLOW_URL},http://127.0.0.1:{{slow_2}}"),
)
"""Who asks a slow service. Hedged, both of its replicas are as slow."""
