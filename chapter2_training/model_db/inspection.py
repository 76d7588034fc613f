"""Whether an uploaded file is a model, and what it says of itself, found out in a process of its own.

What a stranger sends may crash, loop or fill the memory of whoever loads it. So it is loaded once, exactly as a server
would load it, by a child without secrets, whose address space is limited: the registry itself never loads a model.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from mlsys.catalogue import ROOT
from mlsys.errors import ModelError
from mlsys.metadata import Metadata, Tensor, fields
from mlsys.parent import die_with_parent

_REFUSED = 3
"""Exit code of the child that found a reason; it has printed it."""
_MOST_JSON = 1 << 20
_MAGIC = {
    b"\x80": "a pickle, which is a program and no model",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
}
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Where tensors can be in a model: kind of message by field number. Source: onnx/onnx.proto."""
_EXTERNAL_DATA = 13
"""Field of a tensor that names the file it is in."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an artefact: digest, size, signature and the document in it (None if it has none)."""

    sha256: str
    size_bytes: int
    inputs: list[Tensor]
    outputs: list[Tensor]
    document: Metadata | None


def inspect(path: Path, *, memory_bytes: int, timeout_s: float) -> Facts:
    """Load the file once, in a child that may use `memory_bytes` of address space, for `timeout_s` seconds.

    A model takes about three times its size to load, and 200 MB more.

    Raises: ModelError with the reason alone, in lower case.
    """
    command = [sys.executable, "-m", __name__, str(path), str(memory_bytes), str(os.getpid())]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=timeout_s, check=False, capture_output=True)
    except subprocess.TimeoutExpired:
        raise ModelError(f"it could not be loaded within {timeout_s:g} s") from None
    if done.returncode == _REFUSED:
        raise ModelError(done.stdout.decode())
    if done.returncode < 0:
        raise ModelError(f"loading it ended the process that tried, by signal {-done.returncode}")
    if done.returncode:
        raise RuntimeError(f"The inspection itself failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Facts)


def _facts(path: Path) -> Facts:
    from mlsys.network import Network  # imports ONNX Runtime, which the registry itself has no use for

    content = path.read_bytes()
    if found := next((what for magic, what in _MAGIC.items() if content.startswith(magic)), None):
        raise ModelError(f"it is {found}")
    if _refers_to_files(content):
        raise ModelError("it keeps tensors in other files (external data): save it as one file")
    network = Network(path, content)
    network.warm_up()
    facts = Facts(
        sha256=network.sha256,
        size_bytes=len(content),
        inputs=network.inputs,
        outputs=network.outputs,
        document=network.metadata,
    )
    encoded = msgspec.json.encode(facts)
    if len(encoded) > _MOST_JSON:
        raise ModelError(f"its signature and metadata are {len(encoded)} bytes of JSON; {_MOST_JSON} are taken")
    if b"\\u0000" in encoded:
        raise ModelError("its signature or metadata holds a NUL character, which no database can keep")
    return facts


def _refers_to_files(content: bytes) -> bool:
    """Whether any tensor is said to be in another file, wherever in the model it is nested."""
    todo = [("model", memoryview(content))]
    while todo:
        kind, message = todo.pop()
        for number, value in fields(message):
            if kind == "tensor" and number == _EXTERNAL_DATA:
                return True
            if inner := _MESSAGES.get(kind, {}).get(number):
                todo.append((inner, value))
    return False


def main() -> None:
    """The child: print the facts as JSON, or the reason why it is no model, with an exit code of its own."""
    path, memory_bytes, parent = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    die_with_parent(parent, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        sys.stdout.buffer.write(msgspec.json.encode(_facts(path)))
    except (ModelError, MemoryError) as error:
        short = isinstance(error, MemoryError) or "bad_alloc" in str(error)  # as C++ says it, through ONNX Runtime
        _refuse(f"to load it takes more than {memory_bytes} bytes of memory" if short else str(error))


def _refuse(reason: str) -> NoReturn:
    sys.stdout.write(reason[:1000])
    sys.exit(_REFUSED)


if __name__ == "__main__":
    main()
