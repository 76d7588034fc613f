"""Ask the model server what a picture shows, and wait for the answer: `python -m chapter4_….client --help`."""

import contextlib
import json
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, NoReturn

import numpy as np
import typer
from numpy.typing import NDArray

from mlsys.errors import DeadlineExceeded, MlsysError, ServiceError
from mlsys.picture import to_pixels

from .call import Caller, Deadline, Unavailable
from .over_grpc import Grpc
from .over_rest import Rest
from .transport import Refused, Tensors, Transport, WrongAnswer

EXIT_CODES = {WrongAnswer: 1, Refused: 2, Unavailable: 3, DeadlineExceeded: 4}
ADVICE: dict[type[MlsysError], str] = {
    Unavailable: "Is it started (`make run`), and is it the one that --target names?",
    DeadlineExceeded: "--timeout_second gives it longer.",
}


class Format(StrEnum):
    """The protocol's two forms."""

    GRPC = "grpc"
    REST = "rest"


PORTS = {Format.GRPC: 8500, Format.REST: 8501}
TARGET = re.compile(r"(?P<host>[\w.-]+|\[[\da-fA-F:.]+\])(:(?P<port>\d{1,5}))?", re.ASCII)


class Prediction(NamedTuple):
    """The most probable class of a picture, and its probability."""

    label: str
    probability: float


def classify(
    caller: Caller, server: Transport, model: str, pixels: NDArray[np.uint8], deadline: Deadline
) -> Prediction:
    """Two calls under one deadline: what the classes are called, and which it is.

    Raises: what Transport and Caller raise.
    """
    labels = caller.call(lambda left_s: server.labels(model, left_s), deadline)
    tensors = caller.call(lambda left_s: server.infer(model, pixels[np.newaxis], left_s), deadline)
    return _chosen(tensors, labels)


def _chosen(tensors: Tensors, labels: list[str]) -> Prediction:
    try:
        index = int(tensors["label"][0])
        probability = float(tensors["probabilities"][0, index])
        whole = tensors["probabilities"].shape == (1, len(labels))
        if whole and index >= 0 and 0 <= probability <= 1:  # and not NaN
            return Prediction(labels[index], probability)
    except (KeyError, IndexError, TypeError):
        pass
    raise WrongAnswer(f"The server answered no label and probability for {len(labels)} classes: {tensors}.")


def connect(form: Format, target: str) -> Transport:
    """A transport to `host:port`. Raises: Refused if the target is of another form."""
    parts = TARGET.fullmatch(target)
    port = int(parts["port"] or PORTS[form]) if parts else 0
    if not parts or not 1 <= port <= 65535:
        raise Refused(f"--target {target} is not of the form host:port (no http://).")
    host = parts["host"].strip("[]")
    return Grpc(host, port) if form is Format.GRPC else Rest(host, port)


def read(file: Path) -> NDArray[np.uint8]:
    """Pixels [32, 32, 3] of a picture. Raises: Refused if there is no such file, or it is no picture."""
    try:
        if not file.is_file():
            raise Refused(f"--image_file {file} is no file; `make run` puts samples into models/pictures/.")
        return to_pixels(file.read_bytes())
    except OSError as error:
        raise Refused(f"--image_file {file} cannot be read: {error.strerror}.") from None
    except ServiceError as error:
        raise Refused(f"--image_file {file} cannot be used: {error}") from None


def _seconds(value: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(value) <= 3600:  # NaN is not
            return float(value)
    raise typer.BadParameter(f"{value} is not a number of seconds above 0 and up to 3600.")


def main(
    form: Annotated[Format, typer.Option("--format", "-f", case_sensitive=False, help="Form of the protocol.")] = (
        Format.GRPC
    ),
    image_file: Annotated[Path, typer.Option("--image_file", "-i", help="Picture to ask about.")] = Path(
        "models/pictures/cat.png"
    ),
    target: Annotated[
        str, typer.Option("--target", "-t", help="host:port; the port is 8500 for grpc, 8501 for rest.")
    ] = ("127.0.0.1"),
    timeout_second: Annotated[
        float, typer.Option("--timeout_second", "-s", parser=_seconds, help="Seconds for all, retries included.")
    ] = 5.0,
    model_spec_name: Annotated[
        str, typer.Option("--model_spec_name", "-m", help="The model's name.")
    ] = "cifar10_large",
    signature_name: Annotated[  # noqa: ARG001  # the book's command lines have it
        Literal["serving_default"], typer.Option("--signature_name", "-n", help="As in the book; changes nothing.")
    ] = "serving_default",
    metadata: Annotated[bool, typer.Option("--metadata", help="Print the model's metadata instead.")] = False,
) -> None:
    """Print the label and the probability of a picture."""
    caller = Caller()
    try:
        server = connect(form, target)
        if metadata:
            deadline = Deadline(timeout_second)
            typer.echo(json.dumps(caller.call(lambda left_s: server.metadata(model_spec_name, left_s), deadline)))
            return
        pixels = read(image_file)
        typer.echo("{} {:.3f}".format(*classify(caller, server, model_spec_name, pixels, Deadline(timeout_second))))
    except MlsysError as error:
        _fail(error)


def _fail(error: MlsysError) -> NoReturn:
    typer.echo(" ".join(f"{error} {ADVICE.get(type(error), '')}".split()), err=True)
    sys.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))


if __name__ == "__main__":
    typer.run(main)
