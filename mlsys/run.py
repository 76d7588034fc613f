"""How a pattern is run on this machine without Docker: `python -m mlsys.run run|stop|demo|idle DIRECTORY`.

`run` checks first, so that what is wrong is one sentence and an exit code of 1; then it starts what the Procfile names,
prints when the pattern is ready, and stays until Ctrl-C. `make run` builds what this needs and calls it.
"""

import argparse
import contextlib
import http.client
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from . import embedded, folder, ports, secret, steps
from .daemon import Daemon
from .errors import StartupError
from .parent import die_with_parent
from .processes import MARK, Manager, QuietPrinter, Watch, end_marked, marked
from .ready import curl_line, reason_not_ready
from .settings import Settings


class LauncherSettings(Settings):
    """What `make run` reads from the environment: the service's settings, and the launcher's own."""

    workers: Annotated[int, Field(ge=1, le=64, description="Worker processes.")] = 2
    stop_grace_s: Annotated[
        float | None,
        Field(gt=0, le=3600, description="Seconds until a process that does not stop is killed; DRAIN_TIMEOUT_S + 5."),
    ] = None
    ready_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds until a pattern that does not get ready is stopped.")
    ] = 60.0
    run_path: Annotated[
        Path | None, Field(description="Folder of what the pattern keeps, its database too; its own .run/.")
    ] = None

    @property
    def grace_s(self) -> float:
        """Seconds until a process is killed: more than `mlsys.serve` takes to kill a worker of its own that hangs."""
        return self.drain_timeout_s + 5 if self.stop_grace_s is None else self.stop_grace_s

    @property
    def url(self) -> str:
        """Where a client on this machine reaches the service."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def run(directory: Path, settings: LauncherSettings) -> int:
    """Run the pattern until it is stopped. Exit code 0 if a person stopped it, 1 if it ended by itself.

    Raises: StartupError before anything is started.
    """
    began = time.monotonic()
    secret.export(directory)
    chosen = ports.choose(directory, settings)
    settings = settings.model_copy(update={"port": chosen["PORT"]})
    commands = {name: folder.fill(command, chosen) for name, command in folder.commands(directory).items()}
    environment = _environment(directory, settings)
    ports.refuse_busy(directory, settings.host, chosen)
    folder.make_runtime(directory)
    if not marked(str(directory)):
        folder.sweep(directory, keep=settings.run_path)
    with embedded.started(directory, Path(environment["RUN_PATH"]), environment) as servers:
        environment |= {variable: server.url() for variable, server in servers.items()}
        for name, command in folder.steps(commands).items():
            steps.finish(name, command, directory.parents[1], environment)
            del commands[name]
        serving = [command for command in commands.values() if steps.SERVERS & set(shlex.split(command))]
        for command in serving:
            steps.check(command, directory.parents[1], environment)
        watch = partial(_watch, settings, began if serving else None, servers.values())
        return _supervise(directory, commands, settings, environment, watch)


def _supervise(
    directory: Path, commands: dict[str, str], settings: LauncherSettings, environment: dict[str, str], watch: Watch
) -> int:
    terminal = sys.stdout.isatty()
    printer = QuietPrinter(time_format="", prefix=terminal and len(commands) > 1)
    manager = Manager(printer, environment[MARK], settings.grace_s, watch)
    for name, command in commands.items():
        manager.add_process(name, command, env=environment, cwd=str(directory.parents[1]))
    try:
        manager.loop()
    finally:
        end_marked(environment[MARK], 0)  # strays that held no pipe of ours open
    return _verdict(manager)


def _environment(directory: Path, settings: LauncherSettings) -> dict[str, str]:
    form = settings.log_format
    if form == "auto":  # the processes write to a pipe and cannot tell
        form = "text" if sys.stdout.isatty() else "json"
    return os.environ | {
        "HOST": settings.host,
        "PORT": str(settings.port),
        "WORKERS": str(settings.workers),
        "LOG_FORMAT": form,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(directory.parents[1]),
        "PYTHONUNBUFFERED": "1",
        "RUN_PATH": str((settings.run_path or directory / ".run").resolve()),  # they run elsewhere
        "TMPDIR": str(directory / ".run"),
        MARK: f"{directory}#{os.getpid()}",
    }


def _watch(
    settings: LauncherSettings, began: float | None, servers: Collection[Daemon], manager: Manager
) -> str | None:
    """Say once that the pattern is ready, if it serves (`began` says since when). Return why the run must end."""
    failure = None if began is None else _announce(settings, began, manager)
    while servers and not failure:
        if gone := [server.name for server in servers if not server.pid]:
            failure = f"{gone[0]} ended by itself; the rest was stopped."
        time.sleep(0.1)
    return failure


def _announce(settings: LauncherSettings, began: float, manager: Manager) -> str | None:
    deadline = time.monotonic() + settings.ready_timeout_s
    while reason := reason_not_ready(settings.url):
        if time.monotonic() > deadline:
            return f"The pattern was not ready within {settings.ready_timeout_s:g} s: {reason}."
        time.sleep(0.05)
    with contextlib.suppress(OSError, http.client.HTTPException):  # it is being stopped already
        took = time.monotonic() - began
        manager.say(
            f"\nReady after {took:.1f} s on {settings.url} (Ctrl-C stops it). Try:\n\n  {curl_line(settings.url)}\n"
        )
    return None


def _verdict(manager: Manager) -> int:
    sentences = [manager.failure] if manager.failure else []
    for name, code in manager.ended.items():
        how = f"with code {code}" if code >= 0 else f"by signal {-code}"
        sentences.append(f"{name} ended by itself {how}; the rest was stopped.")
    for name, seconds in manager.killed.items():
        _tell(f"{name} did not stop within {seconds:.3g} s and was killed.")
    for sentence in sentences:
        _tell(sentence)
    return 1 if sentences else 0


def stop(directory: Path, settings: LauncherSettings) -> int:
    """End what runs of the pattern, also what a crash has left. Exit code 0."""
    found, killed = end_marked(str(directory), settings.grace_s + 2)
    folder.sweep(directory)
    if not found:
        print(f"Nothing of {directory.name} is running.")  # noqa: T201
    else:
        print(f"Stopped {directory.name}: {found} processes, of which {killed} had to be killed.")  # noqa: T201
    return 0


def idle(directory: Path, _: LauncherSettings) -> int:
    """Exit code 1 and a sentence if something of the pattern is running, whose files must not be removed; else 0."""
    if not marked(str(directory)):
        return 0
    _tell(f"{directory.name} is running and needs its files: end it first, by `make stop PATTERN={directory.name}`.")
    return 1


def demo(directory: Path, settings: LauncherSettings) -> int:
    """Run the pattern's demo against URL, or against the pattern started on a free port. Exit code: the demo's.

    Raises: StartupError if the pattern could not be started; it has said why.
    """
    secret.export(directory)
    command = [sys.executable, "-m", f"{directory.parent.name}.{directory.name}.demo"]
    if os.environ.get("URL"):
        return subprocess.run(command, check=False).returncode
    chosen = ports.free({"PORT", *folder.ports(directory)})
    settings = settings.model_copy(update={"host": "127.0.0.1", "port": chosen["PORT"]})
    variables = {name: str(port) for name, port in chosen.items()}
    # Data of its own, so that it shows the same the second time, and beside a `make run`.
    with tempfile.TemporaryDirectory(dir=folder.make_runtime(directory), prefix="demo-") as data:
        variables["RUN_PATH"] = data
        with _started(directory, settings, variables):
            return subprocess.run(command, check=False, env=os.environ | variables | {"URL": settings.url}).returncode


@contextlib.contextmanager
def _started(directory: Path, settings: LauncherSettings, variables: dict[str, str]) -> Iterator[None]:
    """The pattern, ready, run by a launcher of its own, which writes to .run/demo.log."""
    log = directory / ".run" / "demo.log"
    command = [sys.executable, "-m", "mlsys.run", "run", str(directory)]
    environment = _environment(directory, settings) | variables
    with log.open("w") as output:
        launcher = subprocess.Popen(
            command, stdout=output, env=environment, preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL)
        )
    try:
        while reason_not_ready(settings.url):
            if launcher.poll() is not None:
                raise StartupError(f"{directory.name} ended before it was ready; its output is in {log}.")
            time.sleep(0.05)
        yield
    finally:
        launcher.terminate()
        launcher.wait()


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Exit code: the verb's, of several directories the highest; 1 if it cannot start; 0 if it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m mlsys.run", description=__doc__)
    parser.add_argument("verb", choices=["run", "stop", "demo", "idle"])
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIRECTORY", help="one after the other")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda *_: sys.exit(0))
    try:
        verb, settings = {"run": run, "stop": stop, "demo": demo, "idle": idle}[arguments.verb], LauncherSettings()
        sys.exit(max([verb(directory.resolve(), settings) for directory in arguments.directories]))
    except StartupError as error:
        _tell(f"Cannot start: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
