"""The demo's run as a picture."""

from pathlib import Path

from matplotlib.figure import Figure


def draw(seen: list[tuple[float, int, str]], rows: int, path: Path) -> None:
    """Rows done over time, with what happened meanwhile. seen: (seconds, rows done, what happened)."""
    moments = [look for look in seen if look[1]]
    begin = moments[0][0]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([at - begin for at, _, _ in moments], [done / 1000 for _, done, _ in moments], color="#0072b2")
    for at, done, what in moments:
        if what:
            axes.axvline(at - begin, color="#999999", linewidth=0.8, linestyle="--")
            axes.annotate(
                what, (at - begin, done / 1000), (4, -12 if "kill" in what else 8), textcoords="offset points"
            )
    axes.set(xlabel="time (s)", ylabel="rows done (thousands)", ylim=(0, None), xlim=(0, None))
    axes.set_title(f"Two processes share a run (n = {rows:,} rows, chunks of 10,000)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
