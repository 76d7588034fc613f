"""What is compared, as processes with every variable, and the pictures that are sent."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mlsys import pictures


@dataclass(frozen=True)
class Process:
    """One process. Names in braces are filled in when it is started; pred is the model server's gRPC port."""

    name: str
    command: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Deployment:
    """Processes that are started one after the other; the last one is asked."""

    name: str
    about: str
    processes: tuple[Process, ...]


_PREP = {
    "PORT": "{port}",
    "WORKERS": "1",
    "DECODE_THREADS": "2",
    "MAX_CONCURRENCY": "64",
    "ACCESS_LOG": "false",
    "SAMPLE_PATH": "{sample}",
}
_FUSED = _PREP | {"FUSED_MODEL": "{model}", "INFERENCES": "1", "MODEL_THREADS": "2"}
_PRED = {"MODELS": "{models}", "PORT": "{port}", "GRPC_PORT": "{port2}", "ACCESS_LOG": "false"}
_SERVE = "{python} -m mlsys.serve "
_APP = _SERVE + "chapter4_serving_patterns.prep_pred_pattern.app:create_app"
_ONE = _SERVE + "benchmarks.prep_pred.fused:create_app"
_HALF = {"WORKERS": "2", "DECODE_THREADS": "1", "MODEL_THREADS": "1"}

DEPLOYMENTS = (
    Deployment("fused", "one process does all", (Process("fused", _ONE, _FUSED),)),
    Deployment("fused × 2", "two such processes", (Process("fused", _ONE, _FUSED | _HALF),)),
    Deployment(
        "split",
        "prep, and the model server",
        (
            Process("pred", "{python} -m mlsys.server", _PRED),
            Process("prep", _APP, _PREP | {"MODEL_TARGET": "127.0.0.1:{pred}"}),
        ),
    ),
)


def payloads() -> dict[str, tuple[str, bytes]]:
    """Content type and file of each picture, by what it is called in the tables."""
    with Image.open(io.BytesIO(pictures.content("cat"))) as image:
        cat = image.convert("RGB")
    large = cat.resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 6, (3000, 4000, 1))
    photo = Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8))
    return {
        "PNG, 32 × 32": ("image/png", _saved(cat.resize((32, 32)), "PNG")),
        "PNG, 224 × 224": ("image/png", pictures.content("cat")),
        "JPEG, 12 megapixels": ("image/jpeg", _saved(photo, "JPEG", quality=85)),
    }


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def values(models: Path, scratch: Path) -> dict[str, str]:
    """What fills in the braces, ports apart."""
    sample = scratch / "cat.png"
    sample.write_bytes(pictures.content("cat"))
    folder = models / "cifar10_large"
    return {"models": str(folder), "model": str(folder / "model.onnx"), "sample": str(sample)}
