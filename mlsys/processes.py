"""The processes of one running pattern: started together, ended together, found again by their mark.

honcho starts them and mixes their output. What is added: they die with the launcher however it went, SIGHUP is a way to
stop too, a process that does not stop is killed after the grace, and a signal may come at any moment.
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import honcho.manager
import psutil
from honcho.printer import Message, Printer
from honcho.process import Popen, Process

from .parent import die_with_parent

MARK = "MLSYS_RUN"
"""Environment variable that every process of a running pattern carries: the pattern's directory, "#", launcher's pid.

`make run` gives it to the launcher too, without the pid.
"""
_NOBODY = 65534  # by number, as everywhere on Linux: a small image may have no such name
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Watch = Callable[["Manager"], str | None]


def server_account() -> tuple[int, int]:
    """User and group as whom an embedded server runs that refuses root: this process's or, for root, nobody's."""
    return (os.getuid(), os.getgid()) if os.getuid() else (_NOBODY, _NOBODY)


class Manager(honcho.manager.Manager):  # type: ignore[misc]  # honcho has no types
    """Runs processes until one ends, or a person ends all by Ctrl-C, SIGTERM or SIGHUP.

    mark: what the processes carry as MARK.
    watch: called once, in a thread of its own, when all are started; a sentence that it returns ends the run as failed.
    ended: exit codes of the processes that ended by themselves, by name.
    killed: seconds for which those were waited for that did not stop, by name: `grace_s`, or to a second Ctrl-C.
    failure: what `watch` returned.
    """

    def __init__(self, printer: Printer, mark: str, grace_s: float, watch: Watch) -> None:
        super().__init__(printer)
        honcho.manager.KILL_WAIT = 10**9  # never: the alarm below kills, and after a Ctrl-C too, which honcho forgets
        self._process_ctor = _Reader
        self._mark = mark
        self._grace_s = grace_s
        self._watch = watch
        self.ended: dict[str, int] = {}
        self.killed: dict[str, float] = {}
        self._asked = 0.0
        self.failure: str | None = None

    def loop(self) -> None:
        """Start the processes and return when all have ended."""
        super().loop()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def say(self, text: str) -> None:
        """Put text among the output of the processes; safe from any thread."""
        self.events.put(Message(type="line", data=text, time=self._clock.now(), name=None, colour=None))

    def terminate(self) -> None:
        """Ask every process to stop, and kill those that have not stopped after the grace."""
        if self._terminating:
            return
        if not self._all_started():  # honcho would fail on a process whose start it has not heard of yet
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        self.ended = {
            name: process["returncode"] for name, process in self._processes.items() if "returncode" in process
        }
        self._asked = time.monotonic()
        super().terminate()
        self._signal_strays(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)

    def kill(self) -> None:
        """Kill every process that still runs."""
        left = [name for name, process in self._processes.items() if "returncode" not in process]
        waited_s = min(time.monotonic() - self._asked, self._grace_s)  # the alarm may be late
        self.killed = dict.fromkeys(left, waited_s) | self.killed
        super().kill()
        self._signal_strays(signal.SIGKILL)

    def _signal_strays(self, number: signal.Signals) -> None:
        """Send a signal to what has left the process groups that honcho signals. It may hold our pipe open."""
        groups = {process["pid"] for process in self._processes.values()}
        for process in marked(self._mark):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(process.pid) not in groups:
                    os.kill(process.pid, number)

    def _start(self) -> None:
        """Called by `loop` after it has set its own handlers, which these replace."""
        for stop in STOPS:
            if signal.getsignal(stop) is not signal.SIG_IGN:  # under nohup SIGHUP stays ignored
                signal.signal(stop, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_alarm)
        super()._start()
        for work in (self._run_watch, _watch_terminal):  # after the forks, which threads do not survive
            threading.Thread(target=work, daemon=True).start()

    def _run_watch(self) -> None:
        failure = self._watch(self)
        if failure and not self._terminating:
            self.failure = failure
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_stop(self, signum: int, _: FrameType | None) -> None:
        if self._terminating and signum == signal.SIGINT:  # a second Ctrl-C: the person does not want to wait
            self.kill()
        self.terminate()

    def _on_alarm(self, *_: object) -> None:
        if self._terminating:
            self.kill()
        self.terminate()


def _watch_terminal() -> None:
    """End the run when nobody can read it any more. Where `make` leads the session, it alone is told by the kernel that
    the terminal was closed, and waits for us; and a service at rest writes nothing by which it would notice.
    """
    poll = select.poll()
    poll.register(1, 0)  # no events but those that cannot be left out
    if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
        os.kill(os.getpid(), signal.SIGHUP)


class QuietPrinter(Printer):  # type: ignore[misc]  # honcho has no types
    """Prints what the processes say, and nothing about them. When nobody reads any more, the run ends."""

    def write(self, message: Any) -> None:  # noqa: ANN401  # honcho's namedtuple
        """Print one of honcho's messages."""
        if message.name == honcho.manager.SYSTEM_PRINTER_NAME:
            return
        try:
            super().write(message)
        except OSError:  # a closed terminal, or `| head`
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.output.fileno())
            signal.raise_signal(signal.SIGHUP)


class _Reader(Process):  # type: ignore[misc]  # honcho has no types
    """The process of honcho's that starts one command and passes on what it prints."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:  # noqa: ANN401  # a multiprocessing queue
        for number in (*STOPS, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)  # it ends when its child has
        die_with_parent(os.getppid(), signal.SIGKILL)
        self._child_ctor = _start_child
        super().run(events, ignore_signals)


def _start_child(command: str, **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401  # those of Popen
    # `exec`, so that no shell stands between; `env`, so that `NAME=value program` may be written.
    child: subprocess.Popen[bytes] = Popen(
        f"exec env {command}", preexec_fn=partial(_before_exec, os.getpid()), **options
    )
    return child


def _before_exec(parent: int) -> None:
    for number in (*STOPS, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)  # an ignored signal stays ignored in what is executed
    die_with_parent(parent, signal.SIGKILL)


def marked(mark: str) -> list[psutil.Process]:
    """Processes of this user that carry `mark` (a directory, or one run of it), but for this one and its ancestors.

    For root, those of embedded servers are among them.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    users = {os.getuid()} | {server_account()[0]}
    found = []
    for process in psutil.process_iter():
        try:
            if process.uids().real in users and process.pid not in own:
                value = process.environ().get(MARK, "")
                if value == mark or value.startswith(f"{mark}#"):
                    found.append(process)
        except psutil.Error:  # it went meanwhile, or is a zombie, or the kernel's
            continue
    return found


def end_marked(mark: str, grace_s: float) -> tuple[int, int]:
    """End what carries `mark`, by SIGTERM and after the grace by SIGKILL.

    SIGTERM goes to those whose parent is not among them: a launcher ends its own. Returns how many were found, and how
    many of them had to be killed.
    """
    found = marked(mark)
    pids = {process.pid for process in found}
    for process in found:
        if process.ppid() not in pids:
            _send(process, signal.SIGTERM)
    end = time.monotonic() + grace_s
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    killed = len(left)
    while left:
        for process in left:
            _send(process, signal.SIGKILL)
        time.sleep(0.05)
        left = marked(mark)
    return len(found), killed


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
