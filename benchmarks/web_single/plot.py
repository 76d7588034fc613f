"""The plot: throughput by server."""

from matplotlib.figure import Figure

from .. import reports
from .figures import Row
from .servers import SERVERS, Kind

LOOKS: dict[Kind, tuple[str, str, str]] = {
    "reference": ("#bdbdbd", "", "bare app"),
    "ladder": ("#e6e6e6", "///", "parts of the pattern, and the ordinary way"),
    "ours": ("#1f4e79", "", "this repository"),
    "peer": ("#ffffff", "", "other model servers"),
}
"""Fill, hatch and legend: told apart also in grey."""


def draw(rows: dict[str, Row], caption: str) -> Figure:
    """Horizontal bars of median requests a second, whiskers from the slowest to the fastest round."""
    measured = [server for server in SERVERS if server.name in rows]
    figure, (axes,) = reports.panels(caption, size=(9, 0.42 * len(measured) + 1.9))
    for kind, (color, hatch, label) in LOOKS.items():
        places = [place for place, server in enumerate(measured) if server.kind == kind]
        if not places:  # matplotlib would draw its legend in a colour of its own
            continue
        found = [rows[measured[place].name] for place in places]
        medians = [each.per_second for each in found]
        whiskers = [[each.per_second - each.least for each in found], [each.most - each.per_second for each in found]]
        axes.barh(
            places,
            medians,
            xerr=whiskers,
            color=color,
            hatch=hatch,
            edgecolor="black",
            linewidth=0.8,
            capsize=3,
            label=label,
        )
    for place, server in enumerate(measured):
        found_row = rows[server.name]
        text = f" {found_row.per_second:,.0f}  (× {found_row.ratio:.2f})"
        axes.text(found_row.most, place, text, va="center", fontsize=9)
    axes.set_yticks(range(len(measured)), [server.title for server in measured])
    axes.invert_yaxis()
    axes.set_xlim(0, max(row.most for row in rows.values()) * 1.25)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("requests answered per second: median, least and most of the rounds (× of the bare app)")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    axes.set_title("POST /predict: one flower, one answer")
    return figure
