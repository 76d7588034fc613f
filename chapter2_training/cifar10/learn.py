"""The training loop: where weights come from, and why a killed run ends with the same ones.

All that is random in an epoch is drawn from its number and the seed, and the learning rate is a function of the step.
So an epoch needs nothing but the state at its start, which is written to disk in one piece: a run that is killed
repeats the epoch it was in, bit for bit (on one machine, with one number of threads: they decide the order of sums).
"""

import copy
import time
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from mlsys.errors import StartupError

from . import checkpoint, distort
from .checkpoint import State
from .networks import Classifier
from .pictures import Pictures
from .recipe import Recipe

SETTLING = 0.05
"""Learning rate at which settling begins, as a share of the peak."""
EVERY = 5
"""Steps between two looks at the weights, for their average."""


class Watch(Protocol):
    """Somebody who is told how training goes; nothing that he does changes it."""

    def step(self, epoch: int, loss: float, accuracy: float, pictures: int) -> None:
        """After each step: its batch, as it was distorted."""

    def epoch(self, history: list[dict[str, float]]) -> None:
        """After each epoch, of which each has an entry: loss, accuracy, validation_accuracy if any, (cpu_)seconds."""


def precision() -> torch.dtype:
    """Of the sums in a network: bfloat16 where the processor has instructions for it, which is twice as fast here."""
    return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32


def train(
    network: Classifier, pictures: Pictures, validation: Pictures, recipe: Recipe, *, folder: Path, watch: Watch
) -> Classifier:
    """Train the network, and return the average of its last weights. Goes on from the checkpoint in `folder`, if any.

    Nothing is learnt or chosen from the validation pictures, which may be none: their accuracy is measured.

    Raises: StartupError if there are fewer pictures than one batch, or the checkpoint is damaged.
    """
    if len(pictures) < recipe.batch_size:
        raise StartupError(f"There are {len(pictures)} pictures to train on, less than batch_size={recipe.batch_size}.")
    network.look_at(pictures.pixels[:5000])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as pictures are; twice as fast
    state = State(network, copy.deepcopy(network), _optimizer(network, recipe))
    checkpoint.load(folder, state)
    for epoch in range(len(state.history), recipe.epochs):
        started, busy = time.monotonic(), time.process_time()
        result = _epoch(state, pictures, recipe, epoch, watch)
        if len(validation):
            result["validation_accuracy"] = accuracy(state.average, validation)
        result |= {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - busy}
        state.history.append(result)
        checkpoint.save(folder, state)
        watch.epoch(state.history)
    return state.average


def _epoch(state: State, pictures: Pictures, recipe: Recipe, epoch: int, watch: Watch) -> dict[str, float]:
    """Each picture once, but for the few at the end that fill no batch."""
    state.network.train()
    mixed = recipe.mixed if epoch < recipe.epochs - recipe.settling else 0.0
    drawn = distort.draw(len(pictures), shift=recipe.shift, mixed=mixed, seed=recipe.seed, epoch=epoch)
    steps, losses, rights = len(pictures) // recipe.batch_size, 0.0, 0.0
    for number in range(steps):
        step = epoch * steps + number
        for group in state.optimizer.param_groups:
            group["lr"] = rate(step, steps, recipe)
        chosen = drawn.order[number * recipe.batch_size :][: recipe.batch_size]
        batch = distort.apply(pictures.pixels[chosen], drawn.mirrored[chosen], drawn.moves[chosen])
        batch, own = distort.mix(batch, drawn.middles[chosen], drawn.areas[chosen])
        loss, right = _step(state, batch, pictures.classes[chosen], own, recipe.label_smoothing)
        if (step + 1) % EVERY == 0:
            keep = min(1 - 1 / recipe.average, (step + 2) / (step + 11))  # at first the average is of little
            _follow(state.average, state.network, share=1 - keep**EVERY)
        watch.step(epoch, loss, right, len(chosen))
        losses, rights = losses + loss, rights + right
    return {"loss": losses / steps, "accuracy": rights / steps}


def _step(state: State, batch: Tensor, classes: Tensor, own: Tensor, smoothing: float) -> tuple[float, float]:
    """own: share of each picture that shows its class; the rest shows the class before it (distort.mix)."""
    logits = _logits(state.network, batch)
    losses = [
        functional.cross_entropy(logits, shown, label_smoothing=smoothing, reduction="none")
        for shown in (classes, classes.roll(1))
    ]
    loss = (own * losses[0] + (1 - own) * losses[1]).mean()
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    most = torch.where(own >= 0.5, classes, classes.roll(1))
    return loss.item(), (logits.argmax(1) == most).double().mean().item()


def rate(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate, with so many steps in an epoch: from a fifth of the peak up to it in the first fifth of all, then
    down to nothing; for settling, from a twentieth of the peak down to nothing again.
    """
    settling = steps * recipe.settling
    done = step / (steps * recipe.epochs - settling)
    if done >= 1:
        return recipe.learning_rate * SETTLING * (steps * recipe.epochs - step) / (settling or 1)
    return recipe.learning_rate * (0.2 + 4 * done if done < 0.2 else (1 - done) / 0.8)


@torch.no_grad()
def accuracy(network: Classifier, pictures: Pictures) -> float:
    """Share of pictures that the network, as it predicts and not as it learns, is right about."""
    network.eval()
    found = torch.cat([_logits(network, batch).argmax(1) for batch in torch.split(pictures.pixels, 1000)])
    return (found == pictures.classes).double().mean().item()


def _logits(network: Classifier, batch: Tensor) -> Tensor:
    with torch.autocast("cpu", precision(), enabled=precision() is not torch.float32):
        logits: Tensor = network(batch)
    return logits.float()


def _optimizer(network: Classifier, recipe: Recipe) -> torch.optim.SGD:
    """Stochastic gradient descent with Nesterov's momentum; biases and batch norms are free to be large."""
    learnt = [values for values in network.parameters() if values.requires_grad]
    groups = [
        {"params": [values for values in learnt if values.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [values for values in learnt if values.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)


@torch.no_grad()
def _follow(average: Classifier, network: Classifier, *, share: float) -> None:
    """Exponential moving average (EMA): move the average, means and variances of batch norms included, towards the
    network by a share of the way.
    """
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)
