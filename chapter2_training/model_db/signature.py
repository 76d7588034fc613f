"""What a model takes and gives, and what a change of it does to those who call the model."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from typing_extensions import TypedDict

Verdict = Literal["same", "compatible", "breaking"]
FREE = -1


class Tensor(TypedDict):
    """One input or output; -1 in `shape` is a free dimension. `datatype` is the Open Inference Protocol's (FP32)."""

    name: str
    datatype: str
    shape: list[int]


class Signature(NamedTuple):
    """`features` are the names of the input's columns, `labels` those of the classes; empty where there are none."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    features: Sequence[str] = ()
    labels: Sequence[str] = ()


class Compatibility(NamedTuple):
    """`changes` is a sentence for each; it is empty if, and only if, the verdict is `same`."""

    verdict: Verdict
    changes: list[str]


class Change(NamedTuple):
    """One difference, and whether a caller of the old model could fail with the new one."""

    breaks: bool
    says: str


def compare(old: Signature, new: Signature) -> Compatibility:
    """What changes for the callers of `old` when `new` answers them.

    They go on sending what `old` took: a new model may take more, not less, and must ask for nothing else. They go on
    reading what `old` gave: a new model may give more outputs, not other ones. Order of tensors does not matter, order
    of features and labels does, for it is what gives a number its meaning.
    """
    changes = [
        *_tensors("input", old.inputs, new.inputs),
        *_tensors("output", old.outputs, new.outputs),
        *_names("features", old.features, new.features),
        *_names("labels", old.labels, new.labels),
    ]
    if not changes:
        return Compatibility("same", [])
    verdict: Verdict = "breaking" if any(change.breaks for change in changes) else "compatible"
    return Compatibility(verdict, [change.says for change in changes])


def _tensors(kind: str, old: Sequence[Tensor], new: Sequence[Tensor]) -> Iterator[Change]:
    before, after = ({tensor["name"]: tensor for tensor in tensors} for tensors in (old, new))
    for name in sorted(before.keys() - after.keys()):
        yield Change(True, f"{kind} `{name}` is gone")
    for name in sorted(after.keys() - before.keys()):
        yield Change(kind == "input", f"{kind} `{name}` is new")  # no caller sends it yet
    for name in sorted(before.keys() & after.keys()):
        yield from _tensor(kind, before[name], after[name])


def _tensor(kind: str, old: Tensor, new: Tensor) -> Iterator[Change]:
    what = f"{kind} `{old['name']}`"
    if old["datatype"] != new["datatype"]:
        yield Change(True, f"{what} was {old['datatype']} and is {new['datatype']}")
    if old["shape"] != new["shape"]:
        # What was taken must still be taken, and what is given must have been possible before.
        wide, narrow = (new, old) if kind == "input" else (old, new)
        fits = len(wide["shape"]) == len(narrow["shape"]) and all(
            w in (FREE, n) for w, n in zip(wide["shape"], narrow["shape"], strict=True)
        )
        yield Change(not fits, f"{what} had the shape {old['shape']} and has {new['shape']}")


def _names(kind: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    if list(old) != list(new):
        yield Change(bool(old), f"{kind} were {_listed(old)} and are {_listed(new)}")


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:20]) + (", …" if len(names) > 20 else "")) or "not known"
