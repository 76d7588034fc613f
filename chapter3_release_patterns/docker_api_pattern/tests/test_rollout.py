from dataclasses import dataclass, field

import pytest

from ..rollout import STEADY, MachineError, Outcome, roll_out

OLD, NEW = "api:old", "api:new"


@dataclass
class Fake:
    """A machine in memory. `looks` has, for each image, what successive looks at it find; the last is repeated."""

    looks: dict[str, list[bool | MachineError]]
    last: str | None = OLD
    running: str | None = OLD
    refuses: set[str] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    now: float = 0.0

    def good(self) -> str | None:
        return self.last

    def bring(self, image: str) -> None:
        self.steps.append(f"bring {image}")
        if "bring" in self.refuses:
            raise MachineError("the line is cut.")

    def start(self, image: str) -> None:
        self.steps.append(f"start {image}")
        if f"start {image}" in self.refuses:
            raise MachineError("systemd says no.")
        self.running = image

    def is_healthy(self, image: str) -> bool:
        found = self.looks[image]
        look = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(look, MachineError):
            raise look
        return look and image == self.running

    def call_good(self, image: str) -> None:
        self.steps.append(f"good {image}")
        self.last = image

    def stop(self) -> None:
        self.steps.append("stop")
        self.running = None

    def release(self, image: str = NEW) -> Outcome:
        return roll_out(
            self, image, within_s=30, clock=lambda: self.now, pause=self.pass_a_second, tell=self.told.append
        )

    def pass_a_second(self) -> None:
        self.now += 1


def test_an_image_that_is_healthy_several_times_in_a_row_is_released_and_called_good() -> None:
    machine = Fake({NEW: [False, True]})
    assert machine.release() is Outcome.RELEASED
    assert machine.steps == [f"bring {NEW}", f"start {NEW}", f"good {NEW}"]
    assert machine.now == 1 + STEADY


def test_an_image_that_does_not_get_healthy_is_replaced_by_the_last_good_one_and_never_called_good() -> None:
    machine = Fake({NEW: [False], OLD: [True]})
    assert machine.release() is Outcome.RETURNED
    assert machine.steps == [f"bring {NEW}", f"start {NEW}", f"start {OLD}"]
    assert (machine.running, machine.last) == (OLD, OLD)


def test_an_image_that_is_healthy_between_crashes_is_not_released() -> None:
    crashing: list[bool | MachineError] = [True, True, False] * 20
    machine = Fake({NEW: crashing, OLD: [True]})
    assert machine.release() is Outcome.RETURNED


def test_an_image_that_is_healthy_too_late_is_not_released() -> None:
    machine = Fake({NEW: [*[False] * 40, True], OLD: [True]})
    assert machine.release() is Outcome.RETURNED


def test_nothing_is_touched_when_the_image_cannot_be_brought() -> None:
    machine = Fake({}, refuses={"bring"})
    with pytest.raises(MachineError):
        machine.release()
    assert machine.steps == [f"bring {NEW}"]
    assert machine.running == OLD


def test_a_start_that_fails_returns_at_once() -> None:
    machine = Fake({OLD: [True]}, refuses={f"start {NEW}"})
    assert machine.release() is Outcome.RETURNED
    assert machine.now == STEADY


def test_a_first_image_that_does_not_get_healthy_is_stopped() -> None:
    machine = Fake({NEW: [False]}, last=None, running=None)
    assert machine.release() is Outcome.STOPPED
    assert machine.running is None


def test_the_rollback_is_watched_too() -> None:
    machine = Fake({NEW: [False], OLD: [False]})
    outcome = machine.release()
    assert (outcome, outcome.code) == (Outcome.DOWN, 2)


def test_the_good_image_released_again_is_neither_stopped_nor_started_twice() -> None:
    machine = Fake({OLD: [False]})
    assert machine.release(OLD) is Outcome.LEFT
    assert machine.steps == [f"bring {OLD}", f"start {OLD}"]


def test_a_line_that_is_lost_while_it_is_watched_is_only_a_look_that_found_nothing() -> None:
    machine = Fake({NEW: [True, MachineError("lost"), True]})
    assert machine.release() is Outcome.RELEASED
    assert machine.now == 2 + STEADY


def test_a_release_that_is_interrupted_does_not_become_the_one_to_return_to() -> None:
    machine = Fake({NEW: [KeyboardInterrupt()], OLD: [True]})  # type: ignore[list-item]
    machine.is_healthy = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        machine.release()
    assert (machine.running, machine.good()) == (NEW, OLD)


def interrupted(image: str) -> bool:
    raise KeyboardInterrupt


def test_every_outcome_but_the_release_is_a_failure_that_names_its_images() -> None:
    assert [outcome.code for outcome in Outcome if outcome is not Outcome.RELEASED] == [1, 1, 2, 2]
    for outcome in Outcome:
        assert NEW in outcome.sentence.format(image=NEW, good=OLD, within_s=30)
