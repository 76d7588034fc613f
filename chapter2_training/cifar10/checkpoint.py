"""All that training goes on from, in one file that is replaced in one piece."""

import io
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import torch

from mlsys.errors import StartupError

from .networks import Classifier


@dataclass
class State:
    """A training between two epochs: the network, the average of its weights, the optimiser's momenta, and a dictionary
    of measured numbers for each epoch so far, whose number is therefore that of the next epoch.
    """

    network: Classifier
    average: Classifier
    optimizer: torch.optim.SGD
    history: list[dict[str, float]] = field(default_factory=list)


def save(folder: Path, state: State) -> None:
    """Write `folder`/checkpoint.pt; whoever is killed here leaves the one before.

    Raises: OSError if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".checkpoint.{os.getpid()}"
    with temporary.open("wb") as file:
        parts = [state.network.state_dict(), state.average.state_dict(), state.optimizer.state_dict()]
        torch.save({"parts": parts, "history": state.history}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "checkpoint.pt")


def load(folder: Path, state: State) -> None:
    """Set the state to what `folder`/checkpoint.pt holds, or leave it as it is where there is none.

    Raises: StartupError if the file is damaged or of another network.
    """
    path = folder / "checkpoint.pt"
    if not path.exists():
        return
    try:
        content = torch.load(
            io.BytesIO(path.read_bytes()), weights_only=True
        )  # tensors and numbers; a pickle may else run anything
        network, average, optimizer = content["parts"]
        state.network.load_state_dict(network)
        state.average.load_state_dict(average)
        state.optimizer.load_state_dict(optimizer)
        state.history[:] = content["history"]
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StartupError(f"Checkpoint {path} is damaged ({reason}): remove it to train from the start.") from error


def history(folder: Path) -> list[dict[str, float]]:
    """What was measured in each epoch of the training in `folder`."""
    found: list[dict[str, float]] = torch.load(folder / "checkpoint.pt", weights_only=True)["history"]
    return found
