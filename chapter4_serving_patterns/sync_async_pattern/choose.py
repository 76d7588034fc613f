"""Fit the temperature and choose the threshold: `python -m chapter4_serving_patterns.sync_async_pattern.choose`.

It writes calibration.py, which the service reads. To be run again when one of the two models is another.
"""

from pathlib import Path

from . import cascade, evidence
from .both import FAST, SLOW
from .cascade import Calibration

FILE = Path(__file__).with_name("calibration.py")
LOSS = 0.001
"""Accuracy that may be lost against the slow model alone: one picture in a thousand."""
THRESHOLDS = [number / 100 for number in range(20, 100)]
_TEXT = '''# Written by `python -m chapter4_serving_patterns.sync_async_pattern.choose`; do not edit.
"""What was chosen on the first half of the test pictures, for these two models; loss allowed: {loss}."""

from .cascade import Calibration

CALIBRATION = Calibration(
    fast="{chosen.fast}",
    slow="{chosen.slow}",
    temperature={chosen.temperature},
    threshold={chosen.threshold},
)
'''


def chosen(known: evidence.Evidence) -> Calibration:
    """Temperature and threshold of the half to choose on."""
    first, _ = cascade.halves(known.classes)
    half = known.of(first)
    fitted = cascade.fit_temperature(half.fast, half.classes)
    temperature = round(fitted, 3)  # another processor may differ in the last digits
    judged = cascade.judge(half.fast, half.slow, half.classes, temperature)
    point = cascade.choose(judged, THRESHOLDS, LOSS)
    return Calibration(known.versions[FAST], known.versions[SLOW], temperature, point.threshold)


def text(calibration: Calibration) -> str:
    """The file's content."""
    return _TEXT.format(chosen=calibration, loss=LOSS)


def main() -> None:
    """Write the file, and say what is in it."""
    calibration = chosen(evidence.load())
    FILE.write_text(text(calibration))
    print(f"wrote {FILE.name}: {calibration}")  # noqa: T201


if __name__ == "__main__":
    main()
