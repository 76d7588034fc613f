"""Two answers to one request, and what a cascade of the two is worth: `make demo`, or `make demo URL=http://…`.

Accuracy is that of the second half of the test pictures, whose probabilities chapter 2 ships; times are measured now.
"""

import argparse
import http.client
import os
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlsys import address, pictures

from . import cascade, evidence, measure
from .both import FAST, SLOW
from .calibration import CALIBRATION
from .choose import THRESHOLDS
from .measure import Waited
from .worth import Times, row

SHOWN = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
HERE = Path(__file__).parent


def answers(found: list[Waited]) -> Table:
    """Both answers to each photograph."""
    title = f"Two answers: {FAST}'s first, {SLOW}'s second"
    table = Table("photograph", "first", "probability", "after (ms)", "second", "after (ms)", title=title)
    for name in pictures.NAMES:
        own = [each for each in found if each.name == name]
        later = [each.slow_ms for each in own if each.slow_ms is not None]
        first = (own[0].fast, f"{own[0].probability:.3f}", f"{statistics.median(each.fast_ms for each in own):.1f}")
        table.add_row(name, *first, own[0].slow, f"{statistics.median(later):.1f}" if later else "none")
    return table


def cascades(judged: cascade.Judged, times: Times) -> Table:
    """Accuracy, cost and wait at some thresholds, the chosen one among them."""
    title = f"Cascades, on {len(judged.confidence):,} pictures that nothing was chosen on"
    table = Table("threshold", "slow asked", "accuracy", "core (ms)", "wait (ms)", title=title)
    for threshold in sorted({*SHOWN, CALIBRATION.threshold}):
        one = row(judged, threshold, times)
        mark = {0.0: f"0, {FAST} alone", 1.0: f"1, {SLOW} always", CALIBRATION.threshold: f"{threshold}, chosen"}
        shown = (f"{one.asked:.1%}", f"{one.accuracy:.2%}", f"{one.cost:.2f}", f"{one.wait:.1f}")
        table.add_row(mark.get(threshold, str(threshold)), *shown)
    return table


def calibration(known: evidence.Evidence) -> str:
    """How far the fast model's probabilities are from frequencies, before and after."""
    before, after = (
        cascade.judge(known.fast, known.slow, known.classes, temperature)
        for temperature in (1.0, CALIBRATION.temperature)
    )
    errors = [cascade.calibration_error(each.confidence, each.fast_right) for each in (before, after)]
    return (
        f"{FAST} says a probability of {before.confidence.mean():.1%} on average, and is right in "
        f"{before.fast_right.mean():.1%}; with the temperature {CALIBRATION.temperature} it says "
        f"{after.confidence.mean():.1%}.\nExpected calibration error: {errors[0]:.3f} before, {errors[1]:.3f} after."
    )


def show(found: list[Waited], known: evidence.Evidence, save: bool) -> None:
    """Print the tables, and draw the cascades if there were two answers to time."""
    Console().print(answers(found), calibration(known), sep="\n")
    later = [each.slow_ms for each in found if each.slow_ms is not None]
    if not later:
        sys.exit("No better answer came, so that there is no time to draw: is the queue there, CASCADE_THRESHOLD=1?")
    from .picture import draw  # it takes a second, which who asks a service that is not there need not wait

    fast_wait = statistics.median(each.fast_ms for each in found)
    times = Times(measure.milliseconds(FAST), measure.milliseconds(SLOW), fast_wait, statistics.median(later))
    judged = cascade.judge(known.fast, known.slow, known.classes, CALIBRATION.temperature)
    Console().print(cascades(judged, times))
    path = (HERE / "img" if save else HERE / ".run") / "cascade.png"
    curve = [row(judged, threshold, times) for threshold in (0.0, *THRESHOLDS, 1.0)]
    draw(curve, row(judged, CALIBRATION.threshold, times), len(known.classes), path)
    print(f"The plot is {path.relative_to(HERE)}.")


def main() -> None:
    """Print and draw what the functions above found; with --save the plot is the README's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help="write img/cascade.png")
    save = parser.parse_args().save
    client = measure.Client(address.netloc())
    try:
        found = measure.rounds(client)
    except (OSError, http.client.HTTPException, RuntimeError, ValueError) as error:
        sys.exit(f"URL={os.environ['URL']} does not answer as it should: {error}")
    except KeyError as error:
        sys.exit(f"URL={os.environ['URL']} answers without {error}: is it the sync-async pattern?")
    known = evidence.load()
    show(found, known.of(cascade.halves(known.classes)[1]), save)


if __name__ == "__main__":
    main()
