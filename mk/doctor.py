"""What this machine has, what it lacks, and what to type: `make doctor`. Exit code 1 if `make run` cannot work here.

It runs before anything is installed: standard library only, syntax of Python 3.8.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys

from mk.bootstrap import PIPENV_VERSION, ROOT, Home, Refusal, find_python

OK, NOTE, LACKING = "ok", "note", "LACKING"
PORTS = {8000: "make run PORT=8001", 5000: "make ui PORT=5001"}
"""The ports that commands take, and how to have another."""
PROGRAMS = {
    "docker": "make build, up and down: install Docker",
    "docker-compose": "make build, up and down, where `docker compose` is not there: apt install docker-compose",
    "kubectl": "make deploy and undeploy: install kubectl",
    "wrk": "make bench: apt install wrk",
    "chromium": "make test, of the pages: apt install chromium",
    "ssh": "make deploy-vm of docker_api_pattern: apt install openssh-client",
}
STALE_MODELS = """
from mlsys import stamp, train
files = {name: train.file_of(name, stamp.ROOT / "models") for name in train.trainers()}
print(*[name for name, file in files.items() if not stamp.unchanged(file, train.trainers()[name], None)])
"""


class Finding:
    """One line of the table. State is LACKING only where `make run` cannot do without."""

    def __init__(self, what: str, state: str, found: str, hint: str = "") -> None:
        self.what, self.state, self.found, self.hint = what, state, found, hint


def machine() -> Finding:
    """The platform; embedded servers and the locked wheels are for Linux on x86-64."""
    found = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return Finding("machine", OK, found)
    return Finding("machine", NOTE, found, "make run is tested on Linux x86-64 alone; elsewhere use make build up")


def python() -> Finding:
    """The interpreter that the environment is built with."""
    try:
        return Finding("Python 3.11", OK, find_python())
    except Refusal as refusal:
        return Finding("Python 3.11", LACKING, "not usable", str(refusal))


def pipenv(home: Home) -> Finding:
    """The pinned pipenv, which the project keeps to itself."""
    if home.pipenv_complete.exists():
        return Finding("pipenv", OK, f"{PIPENV_VERSION} in .pipenv")
    return Finding("pipenv", NOTE, "not there yet", "make run installs it into .pipenv")


def environment(home: Home) -> Finding:
    """Which categories of the present lock are installed."""
    if categories := home.installed():
        return Finding(".venv", OK, " ".join(sorted(categories)))
    if home.venv.exists():
        return Finding(".venv", NOTE, "older than Pipfile.lock, or unfinished", "make run brings it up to date")
    return Finding(".venv", NOTE, "not there yet", "make run installs it")


def models(home: Home) -> Finding:
    """Whether the model files are what their inputs would give."""
    if not home.installed():
        return Finding("models", NOTE, "not looked at: no .venv", "make run builds the one it needs")
    command = [str(home.python), "-c", STALE_MODELS]
    stale = subprocess.run(command, cwd=str(home.root), check=True, stdout=subprocess.PIPE).stdout.decode().split()
    if stale:
        return Finding("models", NOTE, "missing or stale: " + " ".join(stale), "make models")
    return Finding("models", OK, "all up to date")


def port(number: int, another: str) -> Finding:
    """Whether something on this machine could listen on the port; `another` is the command for when it could not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            return Finding(f"port {number}", NOTE, str(error.strerror), another)
    return Finding(f"port {number}", OK, "free")


def program(name: str, use: str) -> Finding:
    """Whether a program that some command needs is on the PATH."""
    path = shutil.which(name)
    return Finding(name, OK, path) if path else Finding(name, NOTE, "not there", f"needed for {use}")


def findings(home: Home) -> list[Finding]:
    """Everything, in the order of the table."""
    here = [machine(), python(), pipenv(home), environment(home), models(home)]
    return here + [port(*item) for item in PORTS.items()] + [program(*item) for item in PROGRAMS.items()]


def main() -> int:
    """Print the table; exit code 1 if something is lacking that `make run` needs."""
    found = findings(Home(ROOT))
    for one in found:
        print(f"{one.state:8} {one.what:15} {one.found}" + (f"\n{'':24} -> {one.hint}" if one.hint else ""))
    lacking = [one.what for one in found if one.state == LACKING]
    print(f"\nmake run cannot work without: {', '.join(lacking)}." if lacking else "\nmake run can work here.")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
