"""The machine and the versions that a measurement belongs to."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from . import environments


def describe() -> dict[str, str]:
    """Processor, cores, kernel and date."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def versions(wrk: str, ours: Sequence[str], peers: Sequence[str]) -> dict[str, str]:
    """What was measured (our packages, and the peers with theirs), and by which load generator."""
    packages = ", ".join(f"{name} {version(name)}" for name in ours)
    return {"ours": f"Python {platform.python_version()}, {packages}", "load": wrk} | {
        peer: ", ".join(environments.versions(peer, peer, "onnxruntime", "uvicorn", "uvloop", "fastapi"))
        for peer in peers
    }
