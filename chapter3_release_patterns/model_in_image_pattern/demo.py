"""Offer three models to the image's process and ask the running pattern who it is: `make demo` (URL=http://…)."""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from mlsys import address
from mlsys.catalogue import ROOT

from . import identity

APP = f"{__package__}.app:create_app"
MODEL = ROOT / "models" / "iris_svc" / "model.onnx"
ANOTHER = ROOT / "models" / "iris_rf" / "model.onnx"
FLOWER = {"data": [[5.1, 3.5, 1.4, 0.2]]}


def ask(url: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # whatever the service answers
    """One request. Raises: OSError; SystemExit if the answer is not a 200."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        sys.exit(f"{method} {path} was answered by {response.status}: {content.decode()[:300]}")
    return json.loads(content)


def offered(folder: Path) -> list[tuple[str, Path]]:
    """Three models: the image's own, one of its bits flipped, and a sound one of the same features and classes."""
    content = bytearray(MODEL.read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    return [("its own", MODEL), ("one bit flipped", folder / "model.onnx"), ("iris_rf, as good", ANOTHER)]


def start(model: Path, built_with: str) -> str:
    """What a process of an image that was built with that digest does with the model: only its start is tried."""
    environment = os.environ | {"MODEL_PATH": str(model), "MODEL_SHA256": built_with}
    command = [sys.executable, "-m", "mlsys.serve", "--check", APP]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    said = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", done.stderr.strip())
    return "serves" if done.returncode == 0 else f"exit code {done.returncode}: {said}"


def main() -> None:
    """Print who the running service says it is, and what becomes of the three models."""
    url = address.url()
    try:
        described, prediction = ask(url, "GET", "/metadata"), ask(url, "POST", "/predict/label", FLOWER)
    except OSError as error:
        sys.exit(f"URL={url} does not answer: {error}.")
    built_with = identity.digest(MODEL)
    table = Table("model", "sha256", "the process", title=f"An image that was built with {built_with[:12]}…")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in offered(Path(folder)):
            table.add_row(name, f"{identity.digest(path)[:12]}…", start(path, built_with))
    model = described["model"]
    told = f"{url} serves {model['name']} {model['sha256'][:12]}…: {prediction['prediction']}"
    Console().print(told, table, sep="\n")


if __name__ == "__main__":
    main()
