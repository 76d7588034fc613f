"""The lesson: a release is done when it has been seen healthy, not when it is started; until then it can go back.

Three rules. Bring the new image to the machine before the old one is touched, so that a broken line costs nothing. Call
an image good only after it was healthy several times in a row, because a process that crashes every few seconds is
healthy in between; and write down which one that was, on the machine itself, so that a release that is interrupted at
any moment never becomes the one to return to. If the new image does not get healthy in time, start the last good one
again, and watch that too: a rollback that nobody watched is a second release.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from mlsys.errors import MlsysError

STEADY = 3
"""Looks in a row that must find an image healthy."""


class MachineError(MlsysError):
    """The machine did not do what it was asked, or cannot be reached."""


class Machine(Protocol):
    """Where one image runs as a service. Every method raises MachineError."""

    def good(self) -> str | None:
        """The image that was last called good; None before the first."""

    def bring(self, image: str) -> None:
        """Have the image there."""

    def start(self, image: str) -> None:
        """Run the image in place of the one that runs, also after a reboot."""

    def is_healthy(self, image: str) -> bool:
        """Whether this image, and no other, runs and says that it is ready."""

    def call_good(self, image: str) -> None:
        """Write down that this image was healthy."""

    def stop(self) -> None:
        """Run nothing, also after a reboot."""


class Outcome(Enum):
    """How a release ended: the exit code, and what to tell."""

    RELEASED = 0, "{image} is released."
    RETURNED = 1, "{image} did not get healthy within {within_s:g} s; {good} runs again."
    STOPPED = 1, "{image} did not get healthy within {within_s:g} s, and there is none to return to: it was stopped."
    LEFT = 2, "{image}, which was good before, did not get healthy within {within_s:g} s; it is left as it is."
    DOWN = (
        2,
        "Neither {image} nor {good}, the last good one, got healthy within {within_s:g} s each: the service is down.",
    )

    def __init__(self, code: int, sentence: str) -> None:
        self.code = code
        self.sentence = sentence


def roll_out(
    machine: Machine,
    image: str,
    *,
    within_s: float,
    clock: Callable[[], float],
    pause: Callable[[], None],
    tell: Callable[[str], None],
) -> Outcome:
    """Release the image to the machine, or return to the last good one.

    within_s: seconds that an image is given to get healthy. pause: lets the time pass between two looks.
    Raises: MachineError if the image cannot be brought (nothing has changed then), or the machine cannot be told more.
    """
    good = machine.good()
    tell(f"The last good image is {good}." if good else "No image has been released there yet.")
    machine.bring(image)
    if _gets_healthy(machine, image, within_s, clock, pause, tell):
        machine.call_good(image)
        return Outcome.RELEASED
    if good is None:
        machine.stop()
        return Outcome.STOPPED
    if good == image:
        return Outcome.LEFT
    if _gets_healthy(machine, good, within_s, clock, pause, tell):
        return Outcome.RETURNED
    return Outcome.DOWN


def _gets_healthy(
    machine: Machine,
    image: str,
    within_s: float,
    clock: Callable[[], float],
    pause: Callable[[], None],
    tell: Callable[[str], None],
) -> bool:
    tell(f"Starting {image}.")
    try:
        machine.start(image)
    except MachineError as error:  # a service manager that reports a failed start has answered the question
        tell(f"It was not started: {error}")
        return False
    end = clock() + within_s
    seen = 0
    while seen < STEADY:
        if clock() > end:
            return False
        pause()
        seen = seen + 1 if _looks_healthy(machine, image, tell) else 0
    return True


def _looks_healthy(machine: Machine, image: str, tell: Callable[[str], None]) -> bool:
    try:
        return machine.is_healthy(image)
    except MachineError as error:  # a lost connection says nothing about the service; the next look may
        tell(str(error))
        return False
