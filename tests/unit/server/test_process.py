"""The process: how it starts, refuses to start, and ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient import grpc as over_grpc
from tritonclient import http as over_http

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import eventually

DEADLINE_S = 30.0

pytestmark = pytest.mark.e2e


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mlsys.server", *map(str, arguments)]


def refused(*arguments: object) -> str:
    """The sentence with which the server does not start."""
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    (sentence,) = done.stderr.splitlines()
    return sentence.removeprefix("Cannot start: ")


def answers(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
        return True


@contextmanager
def running(*arguments: object, log: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int, int]]:
    """The process, its port for REST and its port for gRPC."""
    rest, rpc = free_port(), free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("--http", rest, "--grpc", rpc, *arguments), cwd=ROOT, stdout=output, stderr=output, env=os.environ
        )
    try:
        eventually(lambda: process.poll() is not None or answers(rpc), deadline_s=DEADLINE_S)
        assert process.poll() is None, log.read_text()
        yield process, rest, rpc
    finally:
        process.kill()
        process.wait()


def ask(port: int) -> float:
    """One sum from the model `adder`, over gRPC."""
    with over_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
        inputs = [over_grpc.InferInput(name, [1, 3], "FP32") for name in ("a", "b")]
        for one in inputs:
            one.set_data_from_numpy(np.ones([1, 3], np.float32))
        return float(client.infer("adder", inputs, client_timeout=10).as_numpy("sum")[0, 0])


def test_it_answers_over_grpc_and_ends_with_0_when_told_to(small: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running("--models", small / "adder", log=log) as (process, _, rpc):
        assert ask(rpc) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert "Traceback" not in log.read_text()


def test_the_statistics_it_says_to_offer_are_there_for_the_clients_of_both_forms(small: Path, tmp_path: Path) -> None:
    with running("--models", small / "adder", small / "fixed", log=tmp_path / "log") as (_, rest, rpc):
        for _ in range(3):
            ask(rpc)
        with over_http.InferenceServerClient(f"127.0.0.1:{rest}") as client:
            assert "statistics" in client.get_server_metadata()["extensions"]
            (one,) = client.get_inference_statistics("adder")["model_stats"]
            both = client.get_inference_statistics()["model_stats"]
        with over_grpc.InferenceServerClient(f"127.0.0.1:{rpc}") as client:
            (same,) = client.get_inference_statistics("adder", client_timeout=10).model_stats
    assert [found["name"] for found in both] == ["adder", "fixed"]
    success = one["inference_stats"]["success"]
    assert (one["inference_count"], one["execution_count"], success["count"]) == (3, 3, 3)
    assert (same.name, same.inference_count, same.inference_stats.success.ns) == ("adder", 3, success["ns"])


def test_a_second_one_on_either_port_is_refused_in_one_sentence(small: Path, tmp_path: Path) -> None:
    with running("--models", small / "adder", log=tmp_path / "log") as (_, rest, rpc):
        models = ("--models", small / "adder")
        said = refused(*models, "--http", rest, "--grpc", free_port())
        assert said.startswith(f"HOST=127.0.0.1 PORT={rest} cannot be listened on: address already in use; ")
        said = refused(*models, "--http", free_port(), "--grpc", rpc)
        assert said.startswith(f"HOST=127.0.0.1 GRPC_PORT={rpc} cannot be listened on: address already in use; ")
        assert ask(rpc) == 2


def test_check_loads_the_models_and_opens_no_port(small: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        checked = command("--check", "--http", port, "--models", small / "adder")
        done = subprocess.run(checked, cwd=ROOT, capture_output=True, check=False, timeout=DEADLINE_S)
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "model.onnx").write_bytes(b"garbage")
    assert "model.onnx cannot be used" in refused("--check", "--models", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--models", "nowhere"], "MODELS=nowhere holds no model.onnx, and no folder that does."),
        (["--http", "0"], "PORT='0' is not valid"),
        (["--workers", "many"], "WORKERS='many' is not valid"),
        (["--model-option", "adder.size=2"], "MODEL_OPTIONS"),
    ],
)
def test_what_it_cannot_start_with_is_refused_by_name(arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)
