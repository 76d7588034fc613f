"""What a person sees of a training: a bar on a terminal, a line for each epoch elsewhere."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """Follows a training of so many epochs of so many pictures each (learn.Watch)."""

    def __init__(self, epochs: int, pictures: int, say: Callable[[str], None]) -> None:
        self._epochs, self._pictures, self._say = epochs, pictures, say
        self._loss = self._accuracy = 0.0
        self._console = Console()
        columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("remaining")
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=epochs * pictures)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, epoch: int, loss: float, accuracy: float, pictures: int) -> None:
        """Move the bar on; what it shows is a mean over some ten steps."""
        self._loss += (loss - self._loss) * (0.1 if self._loss else 1)
        self._accuracy += (accuracy - self._accuracy) * (0.1 if self._accuracy else 1)
        shown = f"epoch {epoch + 1}/{self._epochs}  loss {self._loss:.3f}  accuracy {self._accuracy:.3f}"
        done = self._bar.tasks[0].completed
        completed = max(done + pictures, epoch * self._pictures + pictures)  # a resumed run begins in the middle
        self._bar.update(self._task, completed=completed, description=shown)

    def epoch(self, history: list[dict[str, float]]) -> None:
        """Where there is no terminal, a line with what was measured and the time that is left."""
        if self._console.is_terminal:
            return
        last = history[-1]
        left = last["seconds"] * (self._epochs - len(history))
        numbers = f"loss {last['loss']:.3f}, accuracy {last['accuracy']:.3f}"
        if "validation_accuracy" in last:
            numbers += f", validation {last['validation_accuracy']:.4f}"
        self._say(
            f"  epoch {len(history)}/{self._epochs}: {numbers}, {last['seconds']:.0f} s, {left / 60:.0f} min left"
        )
