"""The client as a person starts it, against the real model server: answers, refusals, a server that hangs or dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mlsys import pictures
from mlsys.catalogue import ROOT
from mlsys.errors import DeadlineExceeded
from mlsys.model import Model
from mlsys.picture import to_pixels
from mlsys.ports import free_port
from mlsys.testing import eventually

from ..call import Caller, Deadline, Unavailable
from ..client import Format, Prediction, classify, connect, main
from ..transport import Refused, Tensors, Transport, WrongAnswer
from .conftest import ModelServer, StartServer

MODULE = "chapter4_serving_patterns.synchronous_pattern.client"
each_form = pytest.mark.parametrize("form", ["grpc", "rest"])
Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    file = tmp_path / "cat.png"
    file.write_bytes(pictures.content("cat"))
    return file


def client(*arguments: object) -> Ran:
    command = [sys.executable, "-m", MODULE, *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def refusal(code: int, *arguments: object) -> str:
    """The one sentence that the client ends with, run in this process."""
    app = typer.Typer()
    app.command()(main)
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert (ran.exit_code, ran.stdout) == (code, ""), ran.output
    assert "Traceback" not in ran.stderr
    return ran.stderr


@pytest.mark.e2e
def test_both_forms_print_what_the_model_says_of_the_cat(server: ModelServer, models: Path, cat: Path) -> None:
    model = Model.load(models / "cifar10_large" / "model.onnx")
    pixels = to_pixels(cat.read_bytes())[np.newaxis]
    expected = f"{model.classify(pixels)[0]} {model.predict(pixels).max():.3f}\n"
    for form in ("grpc", "rest"):
        ran = client("--format", form, "--image_file", cat, "--target", server.target(form))
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, expected, "")


@pytest.mark.e2e
def test_both_forms_print_the_same_metadata(server: ModelServer) -> None:
    for form in ("grpc", "rest"):
        ran = client("-f", form.upper(), "--metadata", "-t", server.target(form))
        described = json.loads(ran.stdout)
        assert described["name"] == "cifar10_large"
        assert described["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
        assert [tensor["name"] for tensor in described["outputs"]] == ["label", "probabilities"]


@pytest.mark.e2e
@each_form
def test_an_unknown_model_is_a_wrong_question(server: ModelServer, cat: Path, form: str) -> None:
    ran = client("-f", form, "-i", cat, "-t", server.target(form), "-m", "resnet")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert "resnet" in ran.stderr


@pytest.mark.e2e
@each_form
def test_a_server_that_hangs_costs_no_more_than_the_deadline(server: ModelServer, cat: Path, form: str) -> None:
    server.process.send_signal(signal.SIGSTOP)
    try:
        transport, pixels = connect(Format(form), server.target(form)), to_pixels(cat.read_bytes())
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            classify(Caller(), transport, "cifar10_large", pixels, Deadline(0.5))
        assert time.monotonic() - began < 1.5
        assert "did not answer" in refusal(4, "-f", form, "-i", cat, "-t", server.target(form), "-s", "0.5")
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.mark.e2e
@pytest.mark.parametrize(("form", "other", "name"), [("grpc", "rest", "REST"), ("rest", "grpc", "gRPC")])
def test_the_port_of_the_other_form_is_recognised(
    server: ModelServer, cat: Path, form: str, other: str, name: str
) -> None:
    assert f"is it the port of {name}?" in refusal(1, "-f", form, "-i", cat, "-t", server.target(other))


@pytest.mark.e2e
@each_form
def test_an_absent_server_is_one_sentence_long_before_the_deadline(cat: Path, form: str) -> None:
    target = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert f"{target} cannot be reached" in refusal(3, "-f", form, "-i", cat, "-t", target, "-s", "50")
    assert time.monotonic() - began < 25, "the budget of retries ends it, and not the deadline"


@pytest.mark.e2e
@each_form
def test_a_server_that_is_killed_and_comes_back_is_asked_again_on_the_same_transport(
    start_server: StartServer, cat: Path, form: str
) -> None:
    server = start_server()
    transport, pixels = connect(Format(form), server.target(form)), to_pixels(cat.read_bytes())
    before = classify(Caller(), transport, "cifar10_large", pixels, Deadline(10.0))
    server.kill()
    with pytest.raises(Unavailable):
        classify(Caller(), transport, "cifar10_large", pixels, Deadline(0.2))
    start_server(**server.ports)

    def answered() -> Prediction | None:
        try:
            return classify(Caller(), transport, "cifar10_large", pixels, Deadline(5.0))
        except Unavailable:
            return None

    assert eventually(answered, deadline_s=10) == before


@pytest.mark.e2e
@each_form
def test_forty_threads_share_one_transport(server: ModelServer, cat: Path, form: str) -> None:
    transport, pixels, found = connect(Format(form), server.target(form)), to_pixels(cat.read_bytes()), []
    caller = Caller()

    def ask() -> None:
        found.extend([classify(caller, transport, "cifar10_large", pixels, Deadline(30.0)) for _ in range(5)])

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert len({prediction.label for prediction in found}) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nothing.png is no file" in refusal(2, "-i", tmp_path / "nothing.png")
    assert f"{tmp_path} is no file" in refusal(2, "-i", tmp_path)
    assert "/dev/zero is no file" in refusal(2, "-i", "/dev/zero")


@pytest.mark.parametrize("content", [b"", b"no picture", pictures.content("cat")[:1000]])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.png").write_bytes(content)
    assert "file.png cannot be used: " in refusal(2, "-i", tmp_path / "file.png")


@pytest.mark.parametrize("target", ["", "host:port", "http://host:1", "host:99999", "a b:1", "user@host:1", "host:1/x"])
def test_a_target_of_another_form_is_refused(target: str) -> None:
    with pytest.raises(Refused, match="not of the form host:port"):
        connect(Format.REST, target)


@pytest.mark.parametrize(
    "arguments",
    [("-f", "soap"), ("-s", "0"), ("-s", "nan"), ("-s", "inf"), ("-s", "soon"), ("-n", "other"), ("--nothing", "1")],
)
def test_an_option_of_another_value_is_refused_by_name(arguments: tuple[str, str]) -> None:
    assert arguments[0] in refusal(2, *arguments)


def test_the_books_options_are_still_taken(tmp_path: Path) -> None:
    book = ["--format=GRPC", "--timeout_second=5", "--model_spec_name=m", "--signature_name=serving_default"]
    assert "is no file" in refusal(2, *book, "--image_file", tmp_path / "none", "--target", "localhost:1")


class Liar:
    """Answers with the tensors that it is given."""

    def __init__(self, label: object, probabilities: object) -> None:
        self.tensors = {"label": np.array(label), "probabilities": np.array(probabilities)}

    def metadata(self, _: str, __: float | None) -> dict[str, object]:
        raise NotImplementedError

    def labels(self, _: str, __: float | None) -> list[str]:
        return ["cat", "dog"]

    def infer(self, _: str, __: object, ___: float | None) -> Tensors:
        return self.tensors


@pytest.mark.parametrize(
    ("label", "probabilities"),
    [
        ([2], [[0.5, 0.5]]),
        ([-1], [[0.5, 0.5]]),
        ([], [[0.5, 0.5]]),
        ([1], [[0.5]]),
        ([1], [0.5, 0.5]),
        ([0], [[float("nan"), 0.5]]),
        ([0], [[1.5, 0.5]]),
        ([1], [[0.1, 0.4, 0.5]]),
    ],
)
def test_an_answer_that_cannot_be_right_is_not_printed(label: object, probabilities: object) -> None:
    server: Transport = Liar(label, probabilities)
    with pytest.raises(WrongAnswer, match="no label and probability for 2 classes"):
        classify(Caller(), server, "m", np.zeros((32, 32, 3), np.uint8), Deadline(5.0))


def test_of_a_right_answer_the_labels_own_probability_is_taken() -> None:
    found = classify(Caller(), Liar([1], [[0.25, 0.75]]), "m", np.zeros((32, 32, 3), np.uint8), Deadline(5.0))
    assert found == Prediction("dog", 0.75)
