"""A model server in a process of its own, with its two ports: ours, or MLServer as a second opinion."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import psutil
from tritonclient.grpc import service_pb2, service_pb2_grpc

from benchmarks import environments
from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import Answer, eventually

Untyped: TypeAlias = Any
"""Of generated code, and of libraries without types: stubs, messages, clients."""


class Running:
    """A started server. `models` is its folder of model folders, `log` gets what it prints."""

    def __init__(self, command: Sequence[str], models: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.http = free_port()
        self.grpc = free_port()
        self._command = command
        self._environment = environment
        self.rest_target = f"127.0.0.1:{self.http}"
        self.grpc_target = f"127.0.0.1:{self.grpc}"
        self.models = models
        self.log = log
        self.start()

    def start(self) -> None:
        """Start it; again, and on the same ports, when it has ended."""
        ports = {"http": str(self.http), "grpc": str(self.grpc), "metrics": str(free_port())}
        inherited = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [part.format(**ports) for part in self._command],
                cwd=ROOT,
                env=inherited | {name: value.format(**ports) for name, value in self._environment.items()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float = 10,
    ) -> Answer:
        """One HTTP request on a connection of its own. Raises: OSError if there is no answer in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=timeout_s)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def send(self, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """POST with these very headers, of which one name may come twice, and a Content-Length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=10)
        try:
            connection.putrequest("POST", path)
            for name, value in [*headers, ("Content-Length", str(len(body)))]:
                connection.putheader(name, value.encode())
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def infer(self, model: str, request: object, *, timeout_s: float = 30) -> Answer:
        """POST the JSON request to the model."""
        return self.ask("POST", f"/v2/models/{model}/infer", json.dumps(request).encode(), timeout_s=timeout_s)

    def is_ready(self) -> bool:
        """Whether it says so. Raises: AssertionError with the log if the process has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/v2/health/ready").status == 200
        except OSError:
            return False

    def resident_bytes(self) -> int:
        """Memory that its processes hold now."""
        root = psutil.Process(self.process.pid)
        return sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])

    def stop(self, number: int = signal.SIGTERM, *, deadline_s: float = 15) -> int:
        """Send the signal to the first process, wait for its end, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(deadline_s)

    def kill(self) -> None:
        """End whatever is left of the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def version(models: Path, name: str) -> str:
    """What the protocol calls the version of a model here: the first 12 hex digits of the file's sha256."""
    return hashlib.sha256((models / name / "model.onnx").read_bytes()).hexdigest()[:12]


def ours(models: Path, scratch: Path, *options: str, **environment: str) -> Running:
    """Our server of all models in the folder, ready."""
    command = [sys.executable, "-m", "mlsys.server", "--models", str(models), "--http", "{http}", "--grpc", "{grpc}"]
    variables = {"PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)} | environment
    return _ready(Running([*command, *options], models, scratch / "ours.log", variables))


def mlserver(models: Path, scratch: Path) -> Running:
    """MLServer with the same models, ready; its environment is installed first if it is not there."""
    environments.ensure("mlserver")
    folder = scratch / "mlserver"
    for model in sorted(path.parent for path in models.glob("*/model.onnx")):
        (folder / model.name).mkdir(parents=True)
        parameters = {"uri": str(model / "model.onnx"), "version": version(models, model.name)}
        settings = {"name": model.name, "implementation": "runtime.Onnx", "parameters": parameters}
        (folder / model.name / "model-settings.json").write_text(json.dumps(settings))
    variables = {
        "PYTHONPATH": str(Path(__file__).with_name("peer")),
        "TMPDIR": str(scratch),
        "MLSERVER_DEBUG": "false",
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": "{http}",
        "MLSERVER_GRPC_PORT": "{grpc}",
        "MLSERVER_METRICS_PORT": "{metrics}",
        "MLSERVER_METRICS_DIR": str(scratch),
        "MLSERVER_ENVIRONMENTS_DIR": str(scratch),
        "MLSERVER_PARALLEL_WORKERS": "0",
    }
    command = [str(environments.FOLDER / "mlserver" / "bin" / "mlserver"), "start", str(folder)]
    return _ready(Running(command, models, scratch / "mlserver.log", variables))


def unhurt(server: Running) -> None:
    """Check that the server lives, answers rightly on both sides, and has logged no failure of its own."""
    assert server.process.poll() is None, server.log.read_text()
    tensor = {"datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    answer = server.infer("adder", {"inputs": [tensor | {"name": "a"}, tensor | {"name": "b"}]})
    assert answer.status == 200, answer
    assert {tuple(output["data"]) for output in answer.json["outputs"]} == {(2, 4, 6), (0, 0, 0)}
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=5).ready
    failures = [
        line for line in server.log.read_text().splitlines() if '"level":"error"' in line or "Traceback" in line
    ]
    assert not failures, failures[:3]


def _ready(server: Running) -> Running:
    try:
        eventually(server.is_ready, deadline_s=60)
    except BaseException:
        server.kill()
        raise
    return server
