"""The lesson: what is put in place, what is refused, and that a request ends on the model it began with."""

import gc
import hashlib
import itertools
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from mlsys import iris
from mlsys.errors import ModelError
from mlsys.iris_service import IrisModel

from ..swap import TIMED, Bounds, Served, Swap


class Place:
    """A folder of files, each called what a store would call it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, content: bytes) -> tuple[Path, str]:
        digest = hashlib.sha256(content).hexdigest()
        path = self._folder / f"{digest}.onnx"
        path.write_bytes(content)
        return path, digest


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def swap() -> Swap:
    return Swap(Bounds(latency_s=10, agreement=0.5))


def test_a_good_model_passes_and_serves(swap: Swap, place: Place, svc: bytes) -> None:
    swap.put(swap.inspect("1.0.0", *place(svc)))
    with swap.use() as served:
        assert (served.release, served.sha256) == ("1.0.0", hashlib.sha256(svc).hexdigest())
        assert IrisModel(served.model).label(iris.SAMPLE[0]) == "setosa"


def test_without_a_model_nothing_is_served(swap: Swap) -> None:
    with pytest.raises(RuntimeError, match="No model"), swap.use():
        pass


def test_a_request_ends_on_the_model_it_began_with_and_the_old_one_is_drained_when_it_has(
    swap: Swap, place: Place, svc: bytes, forest: bytes
) -> None:
    swap.put(swap.inspect("1.0.0", *place(svc)))
    with swap.use() as begun:
        swap.put(swap.inspect("1.1.0", *place(forest)))
        with swap.use() as later:
            assert later.release == "1.1.0"
        assert begun.release == "1.0.0"
        assert IrisModel(begun.model).label(iris.SAMPLE[0]) == "setosa"
        assert swap.previous is begun
        assert begun.in_use == 1
    assert begun.in_use == 0


def test_a_request_that_fails_gives_its_model_back(swap: Swap, place: Place, svc: bytes) -> None:
    swap.put(swap.inspect("1.0.0", *place(svc)))
    with pytest.raises(ZeroDivisionError), swap.use() as served:
        raise ZeroDivisionError
    assert served.in_use == 0


def test_inspecting_takes_nothing_from_what_serves(swap: Swap, place: Place, svc: bytes, forest: bytes) -> None:
    swap.put(swap.inspect("1.0.0", *place(svc)))
    swap.inspect("1.1.0", *place(forest))
    with swap.use() as served:
        assert served.release == "1.0.0"
    assert swap.previous is None


def test_a_rollback_needs_no_file(swap: Swap, place: Place, svc: bytes, forest: bytes) -> None:
    old_path, old = place(svc)
    swap.put(swap.inspect("1.0.0", old_path, old))
    swap.put(swap.inspect("1.1.0", *place(forest)))
    old_path.unlink()
    swap.put(swap.inspect("1.0.0", old_path, old))
    assert swap.serving
    assert swap.previous
    assert (swap.serving.release, swap.previous.release) == ("1.0.0", "1.1.0")


def test_a_rollback_is_not_judged_by_what_it_takes_back(place: Place, svc: bytes, contrary: bytes) -> None:
    swap = Swap(Bounds(latency_s=10, agreement=0.5))
    old_path, old = place(svc)
    swap.put(swap.inspect("1.0.0", old_path, old))
    swap.put(Swap(Bounds(latency_s=10, agreement=0.5)).inspect("1.1.0", *place(contrary)))  # unjudged
    assert swap.inspect("1.0.0", old_path, old).release == "1.0.0"


def test_the_same_file_under_another_name_keeps_the_model_for_rollback(
    swap: Swap, place: Place, svc: bytes, forest: bytes
) -> None:
    swap.put(swap.inspect("1.0.0", *place(svc)))
    swap.put(swap.inspect("1.1.0", *place(forest)))
    swap.put(swap.inspect("1.1.1", *place(forest)))
    assert swap.previous
    assert swap.previous.release == "1.0.0"


def test_only_one_old_model_is_kept(
    swap: Swap, place: Place, svc: bytes, forest: bytes, changed: Callable[[Callable[[Any], None]], bytes]
) -> None:
    first = swap.inspect("1.0.0", *place(svc))
    swap.put(first)
    forgotten = weakref.ref(first)
    del first
    swap.put(swap.inspect("1.1.0", *place(forest)))
    assert forgotten()
    swap.put(swap.inspect("1.2.0", *place(changed(lambda document: document.update(name="another")))))
    gc.collect()
    assert forgotten() is None


def break_profile(document: dict[str, Any]) -> None:
    document["profile"] = document["profile"][:3]


def infinite_profile(document: dict[str, Any]) -> None:
    document["profile"][0]["quantiles"] = [1e308] * 21


def swap_labels(document: dict[str, Any]) -> None:
    document["labels"] = ["virginica", "versicolor", "setosa"]


def swap_features(document: dict[str, Any]) -> None:
    document["features"].reverse()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (break_profile, "no reference profile"),
        (infinite_profile, "not finite in float32"),
        (swap_labels, "does not have the features"),
        (swap_features, "does not have the features"),
    ],
)
def test_a_document_that_is_not_this_services_is_refused(
    swap: Swap,
    place: Place,
    changed: Callable[[Callable[[Any], None]], bytes],
    how: Callable[[Any], None],
    reason: str,
) -> None:
    with pytest.raises(ModelError, match=reason):
        swap.inspect("1.1.0", *place(changed(how)))


@pytest.mark.parametrize(
    ("output", "node", "constant", "reason"),
    [
        ("label", "Sub", 3, "a label that is not 0 to 2"),
        ("label", "Add", 3, "a label that is not 0 to 2"),
        ("probabilities", "Add", float("inf"), "not finite"),
        ("probabilities", "Mul", float("nan"), "not finite"),
        ("probabilities", "Mul", 2.0, "do not sum to 1"),
        ("probabilities", "Sub", 1.0, "do not sum to 1"),
        ("label", "Unique", None, r"to 21 rows it answers labels \([23],\)"),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    swap: Swap, place: Place, svc: bytes, output: str, node: str, constant: float | None, reason: str
) -> None:
    graph = onnx.load_from_string(svc)
    for each in graph.graph.node:
        each.output[:] = ["sane" if name == output else name for name in each.output]
        each.input[:] = ["sane" if name == output else name for name in each.input]
    kind = onnx.TensorProto.INT64 if output == "label" else onnx.TensorProto.FLOAT
    if constant is not None:
        graph.graph.initializer.append(onnx.helper.make_tensor("constant", kind, [], [constant]))
    inputs = ["sane"] if constant is None else ["sane", "constant"]
    graph.graph.node.append(onnx.helper.make_node(node, inputs, [output]))
    with pytest.raises(ModelError, match=reason):
        swap.inspect("1.1.0", *place(graph.SerializeToString()))


def test_another_signature_is_refused_with_both(swap: Swap, place: Place, perceptron: bytes) -> None:
    with pytest.raises(ModelError, match=r"its signature is input FP32\[-1, 2\].*needs input FP32\[-1, 4\]"):
        swap.inspect("1.1.0", *place(perceptron))


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95 a pickle", b"PK\x03\x04 a zip", b"<html>", b"\xff" * 1000])
def test_what_is_no_model_is_refused(swap: Swap, place: Place, content: bytes) -> None:
    with pytest.raises(ModelError):
        swap.inspect("1.1.0", *place(content))


def test_a_truncated_model_is_refused(swap: Swap, place: Place, svc: bytes) -> None:
    for length in range(1, len(svc), len(svc) // 20):
        with pytest.raises(ModelError):
            swap.inspect("1.1.0", *place(svc[:length]))


def test_a_file_that_changed_after_the_fetch_is_refused(swap: Swap, place: Place, svc: bytes, forest: bytes) -> None:
    path, digest = place(svc)
    path.write_bytes(forest)
    with pytest.raises(ModelError, match="the file has the sha256"):
        swap.inspect("1.0.0", path, digest)


def test_a_model_that_is_slower_than_the_bound_is_refused_with_both_figures(place: Place, svc: bytes) -> None:
    ticks = itertools.count(0, 0.060)
    swap = Swap(Bounds(latency_s=0.050, agreement=0.5), clock=lambda: next(ticks))
    with pytest.raises(ModelError, match="takes it 60 ms, and 50 ms are allowed"):
        swap.inspect("1.0.0", *place(svc))


def test_one_slow_prediction_among_many_does_not_refuse_a_model(place: Place, svc: bytes) -> None:
    times = iter([0.0, 9.0, *(0.0 for _ in range(2 * TIMED))])
    swap = Swap(Bounds(latency_s=0.050, agreement=0.5), clock=lambda: next(times))
    assert swap.inspect("1.0.0", *place(svc)).release == "1.0.0"


def test_a_model_that_contradicts_the_serving_one_is_refused(
    swap: Swap, place: Place, svc: bytes, contrary: bytes
) -> None:
    swap.put(swap.inspect("1.0.0", *place(svc)))
    with pytest.raises(ModelError, match=r"gives only \d+% of 21 reference rows the serving model's label"):
        swap.inspect("1.1.0", *place(contrary))
    assert Swap(Bounds(latency_s=10, agreement=0.5)).inspect(
        "1.1.0", *place(contrary)
    )  # there is nothing to contradict


def test_a_refusal_is_kept_until_something_serves_that_is_offered(swap: Swap, place: Place, svc: bytes) -> None:
    swap.refuse("1.1.0", "tag", "too slow")
    assert swap.refuses("tag", 60)
    assert not swap.refuses("another", 60)
    swap.put(swap.inspect("1.0.0", *place(svc)))
    assert swap.refusal is None


def test_a_refused_model_is_looked_at_again_after_a_while() -> None:
    time = [1000.0]
    swap = Swap(Bounds(latency_s=10, agreement=0.5), now=lambda: time[0])
    swap.refuse("1.1.0", "tag", "too slow")
    time[0] += 59
    assert swap.refuses("tag", 60)
    time[0] += 1
    assert not swap.refuses("tag", 60)


def test_a_clock_that_is_set_back_does_not_make_a_refusal_last() -> None:
    time = [1_000_000.0]
    swap = Swap(Bounds(latency_s=10, agreement=0.5), now=lambda: time[0])
    swap.refuse("1.1.0", "tag", "too slow")
    time[0] -= 86_400
    assert not swap.refuses("tag", 60)


def test_requests_in_many_threads_and_swaps_lose_no_count(swap: Swap, place: Place, svc: bytes, forest: bytes) -> None:
    candidates: list[Served] = [swap.inspect("1.0.0", *place(svc)), swap.inspect("1.1.0", *place(forest))]
    swap.put(candidates[0])
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            with swap.use() as served:
                assert served.in_use > 0

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2000):
        swap.put(candidates[number % 2])
    done.set()
    for thread in threads:
        thread.join()
    assert [candidate.in_use for candidate in candidates] == [0, 0]
