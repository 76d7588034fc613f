"""What is compared, as processes with every variable."""

from dataclasses import dataclass
from pathlib import Path

from mlsys import pictures

NOBODY = "redis://127.0.0.1:1/0"
"""A Redis that is not there."""
TOKEN = "benchmark"  # noqa: S105  # no secret
SERVER = "{python} -m mlsys.server"
SERVER_ENVIRONMENT = {"MODELS": "{models}", "PORT": "{port}", "GRPC_PORT": "{port2}", "ACCESS_LOG": "false"}
_APP = "{python} -m mlsys.serve chapter4_serving_patterns.prediction_cache_pattern.app:create_app"
_ALONE = "{python} -m mlsys.serve benchmarks.prediction_cache.stampede:create_app"
_BASE = {
    "PORT": "{port}",
    "WORKERS": "1",
    "ACCESS_LOG": "false",
    "REDIS_URL": "{redis}",
    "MODEL_TARGET": "127.0.0.1:{server}",
    "PICTURES_PATH": "{pictures}",
    "CACHE_TOKEN": TOKEN,
}


@dataclass(frozen=True)
class Variant:
    """One way to run the service. Names in braces are filled in when it is started."""

    name: str
    about: str
    environment: dict[str, str]
    command: str = _APP


CACHE = Variant("cache", "one worker", _BASE)
TWO = Variant("cache × 2", "two workers", _BASE | {"WORKERS": "2"})
NEAR = Variant("cache + near", "one worker that keeps 1,000 predictions itself", _BASE | {"NEAR_ENTRIES": "1000"})
NEAR_TWO = Variant("(cache + near) × 2", "two of them", NEAR.environment | {"WORKERS": "2"})
WITHOUT = Variant("without", "its Redis is not there", _BASE | {"REDIS_URL": NOBODY, "REDIS_REST_S": "60"})
STAMPEDE = Variant("no single-flight", "everybody who finds nothing computes", _BASE, _ALONE)
VARIANTS = (CACHE, TWO, NEAR, NEAR_TWO, WITHOUT, STAMPEDE)


def values(models: Path, scratch: Path, redis_url: str) -> dict[str, str]:
    """What fills in the braces, ports apart."""
    pictures.write(scratch / "pictures")
    return {"models": str(models / "cifar10_large"), "pictures": str(scratch / "pictures"), "redis": redis_url}
