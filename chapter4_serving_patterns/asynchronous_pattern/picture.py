"""The demo's plot: the queue over time, and what the last job was told to wait."""

from pathlib import Path

from matplotlib.figure import Figure

from .traffic import Look

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
STYLES = ("-", "--", ":", "-.")


def draw(looks: list[Look], events: list[tuple[float, str]], jobs: int, path: Path) -> None:
    """Write the plot: above, jobs by where they are; below, the last job's estimate beside the truth."""
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")  # no pyplot: nothing global, no window
    above, below = figure.subplots(2, sharex=True)
    times = [look.at for look in looks]
    above.plot(times, [look.depth for look in looks], color="black", label="not done")
    names = list(dict.fromkeys(name for look in looks for name, held in look.workers.items() if held))
    for number, name in enumerate(names):
        held = [look.workers.get(name, 0) for look in looks]
        style = {"color": COLOURS[number % 4], "linestyle": STYLES[number % 4]}
        above.step(times, held, where="post", label=f"held by worker {number + 1}", **style)
    for at, event in events:
        side = "left" if at < times[-1] / 2 else "right"  # of the line, where the other lines are not
        above.axvline(at, color="grey", linewidth=0.8)
        above.annotate(event, (at, 0.97), xycoords=("data", "axes fraction"), rotation=90, ha=side, va="top", size=8)
    above.set(ylabel="jobs", title=f"A burst of {jobs} pictures, and a worker that hangs")
    above.set_ylim(bottom=0)
    above.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    waits = [(look.at, look.watched["wait_s"]) for look in looks if look.watched and look.watched["wait_s"] is not None]
    end = next((look.at for look in looks if look.watched and look.watched["state"] == "done"), looks[-1].at)
    below.plot([at for at, _ in waits], [wait for _, wait in waits], "o", markersize=3, label="estimate")
    below.plot([at for at, _ in waits], [end - at for at, _ in waits], color="grey", label="truth")
    below.set(xlabel="time (s)", ylabel="wait of the last job (s)")
    below.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
