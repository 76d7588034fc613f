"""Every network learns; a run that is killed ends with the weights of one that is not."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chapter2_training.cifar10 import learn, networks
from chapter2_training.cifar10.checkpoint import history
from chapter2_training.cifar10.pictures import Pictures, split
from chapter2_training.cifar10.recipe import RECIPES, Recipe
from mlsys.catalogue import ROOT
from mlsys.errors import StartupError

QUICK = Recipe(epochs=2, batch_size=16, learning_rate=0.05)


class Watch:
    """Counts steps, and calls something before one of them."""

    def __init__(self, at: int = 0, call: Callable[[], None] = lambda: None) -> None:
        self.at, self.call, self.steps = at, call, 0
        self.losses: list[float] = []

    def step(self, epoch: int, loss: float, accuracy: float, pictures: int) -> None:  # noqa: ARG002  # as it is called
        self.steps += 1
        self.losses.append(loss)
        if self.steps == self.at:
            self.call()

    def epoch(self, history: list[dict[str, float]]) -> None:
        pass


def some(n: int) -> Pictures:
    """Pictures whose class is their brightness, which any network can learn."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(n) % 10
    noise = torch.randint(-12, 13, (n, 32, 32, 3), generator=generator)
    return Pictures((classes.view(-1, 1, 1, 1) * 25 + 13 + noise).to(torch.uint8), classes)


NOBODY = Pictures(some(10).pixels[:0], some(10).classes[:0])


def made(model_type: str) -> networks.Classifier:
    torch.manual_seed(0)
    return networks.NETWORKS[model_type]()


@pytest.mark.parametrize("model_type", RECIPES)
def test_every_model_type_takes_bytes_gives_ten_logits_and_learns(model_type: str, tmp_path: Path) -> None:
    watch = Watch()
    average = learn.train(made(model_type), some(32), NOBODY, QUICK, folder=tmp_path, watch=watch)
    with torch.no_grad():
        assert average(some(3).pixels).shape == (3, 10)
    assert watch.steps == 4
    assert all(np.isfinite(watch.losses))
    assert torch.equal(
        average.normalise.mean.flatten().round(), some(32).pixels.double().mean((0, 1, 2)).float().round()
    )


def test_in_a_few_epochs_it_knows_what_it_can_know(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=6, batch_size=20, average=5)
    average = learn.train(made("simple"), some(200), some(50), recipe, folder=tmp_path, watch=Watch())
    entries = history(tmp_path)
    assert learn.accuracy(average, some(50)) == entries[-1]["validation_accuracy"] > 0.8
    assert entries[-1]["loss"] < entries[0]["loss"]
    assert len(entries) == 6


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_run_that_ends_in_any_step_goes_on_to_the_same_weights(step: int, tmp_path: Path) -> None:
    def end() -> None:
        raise Killed

    recipe = replace(QUICK, epochs=3)
    whole = learn.train(made("cifar10_small"), some(48), NOBODY, recipe, folder=tmp_path / "a", watch=Watch())
    with pytest.raises(Killed):
        learn.train(made("cifar10_small"), some(48), NOBODY, recipe, folder=tmp_path / "b", watch=Watch(step, end))
    rest = Watch()
    resumed = learn.train(made("cifar10_small"), some(48), NOBODY, recipe, folder=tmp_path / "b", watch=rest)
    assert rest.steps == 9 - 3 * ((step - 1) // 3), "an epoch that was finished is not repeated"
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


RUN = """
import sys
from pathlib import Path
from dataclasses import replace
from chapter2_training.cifar10 import pipeline
from chapter2_training.cifar10.recipe import RECIPES
recipe = replace(RECIPES["cifar10_small"], epochs=4, batch_size=20)
say = lambda line: print(line, flush=True)
asked = pipeline.Run(model_type="cifar10_small", recipe=recipe, data=Path(sys.argv[1]), validation=0.1, num_workers=1,
    work=Path(sys.argv[2]), say=say)
print(pipeline.trained(asked, pipeline.prepared(asked))[1]["weights.npz"])
"""


def run(source: Path, work: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, str(source), str(work)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_file(
    source: Path, tmp_path: Path
) -> None:
    with run(source, tmp_path / "whole") as process:
        whole = process.communicate(timeout=60)[0].splitlines()
    assert [line.partition(":")[0] for line in whole[1:5]] == [f"  epoch {number}/4" for number in range(1, 5)]
    with run(source, tmp_path / "killed") as process:
        for line in process.stdout or ():
            if "epoch 2/4" in line:  # so it is in the third, or just before
                process.kill()
        assert process.wait(timeout=30) == -signal.SIGKILL
    with run(source, tmp_path / "killed") as process:
        resumed = process.communicate(timeout=60)[0].splitlines()
    assert resumed[0] == "preprocess: unchanged"
    assert [line.partition(":")[0] for line in resumed[1:-2]][-2:] == ["  epoch 3/4", "  epoch 4/4"]
    assert len(resumed) < len(whole)
    assert resumed[-1] == whole[-1], "the weights' digest"


def test_the_learning_rate_rises_for_a_fifth_of_the_way_and_falls_to_nothing() -> None:
    rates = [learn.rate(step, 10, Recipe(epochs=10, learning_rate=0.4)) for step in range(101)]
    assert [rates[0], max(rates), rates[-1]] == pytest.approx([0.08, 0.4, 0])
    assert rates.index(max(rates)) == 20
    assert np.abs(np.diff(rates)).max() < 0.02


def test_settling_begins_where_the_cycle_ends_at_a_low_rate_that_falls_to_nothing_again() -> None:
    cycle, settled = Recipe(epochs=10, learning_rate=0.4), Recipe(epochs=12, learning_rate=0.4, settling=2)
    assert [learn.rate(step, 10, settled) for step in range(100)] == [
        learn.rate(step, 10, cycle) for step in range(100)
    ]
    assert [learn.rate(step, 10, settled) for step in (100, 110, 120)] == pytest.approx([0.02, 0.01, 0])


def test_nothing_is_mixed_while_it_settles(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1, mixed=1.0)
    learn.train(made("simple"), some(32), NOBODY, recipe, folder=tmp_path, watch=Watch())
    weights = []
    for mixed in (1.0, 0.0):
        folder = Path(shutil.copytree(tmp_path, tmp_path / str(mixed), ignore=shutil.ignore_patterns("[01].0")))
        settled = replace(recipe, epochs=2, settling=1, mixed=mixed)
        weights.append(
            learn.train(made("simple"), some(32), NOBODY, settled, folder=folder, watch=Watch()).state_dict()
        )
    assert all(torch.equal(one, other) for one, other in zip(*(each.values() for each in weights), strict=True))


@pytest.mark.parametrize(("epochs", "settling"), [(66, 6), (22, 2), (10, 0), (1, 0), (132, 12)])
def test_a_recipe_within_fewer_epochs_settles_for_the_same_share_of_them(epochs: int, settling: int) -> None:
    shorter = Recipe(epochs=66, learning_rate=0.4, settling=6).within(epochs)
    assert (shorter.epochs, shorter.settling) == (epochs, settling)


def test_fewer_pictures_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="There are 10 pictures to train on, less than batch_size=16"):
        learn.train(made("simple"), some(10), NOBODY, QUICK, folder=tmp_path, watch=Watch())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    learn.train(made("simple"), some(16), NOBODY, replace(QUICK, epochs=1), folder=tmp_path, watch=Watch())
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(StartupError, match=rf"Checkpoint {path} is damaged .*: remove it to train from the start"):
        learn.train(made("simple"), some(16), NOBODY, QUICK, folder=tmp_path, watch=Watch())


def test_validation_pictures_are_drawn_by_the_seed_and_are_not_trained_on() -> None:
    numbered = Pictures(torch.arange(100).view(100, 1, 1, 1).to(torch.uint8), torch.arange(100))
    rest, held = split(numbered, 0.1, seed=0)
    assert (len(rest), len(held)) == (90, 10)
    assert sorted(torch.cat([rest.classes, held.classes]).tolist()) == list(range(100))
    assert torch.equal(rest.pixels.flatten().long(), rest.classes)
    assert torch.equal(split(numbered, 0.1, seed=0)[1].classes, held.classes)
    assert not torch.equal(split(numbered, 0.1, seed=1)[1].classes, held.classes)
    assert len(split(numbered, 0, seed=0)[1]) == 0
