"""What stands in for systemd where it does not run: it starts what the installed unit says, and starts it again.

It reads the unit file that the release has installed: EnvironmentFile, ExecStartPre, ExecStart, ExecStop, Restart and
the limit of starts. Dependencies, users, boot and the journal are not there.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(os.environ["DESTDIR"])
UNITS = ROOT / "etc" / "systemd" / "system"
STATE = Path(os.environ["STANDIN_STATE"])


class Unit:
    def __init__(self, name: str) -> None:
        self.text = (UNITS / f"{name}.service").read_text().replace("\\\n", " ")
        self.name = name
        self.wanted = UNITS / f"{self.one('WantedBy')}.wants" / f"{name}.service"
        self.keeper = STATE / f"{name}.pid"

    def all(self, key: str) -> list[str]:
        return re.findall(rf"^{key}=(.*)$", self.text, re.MULTILINE)

    def one(self, key: str) -> str:
        (value,) = self.all(key)
        return str(value)

    def command(self, key: str) -> list[str]:
        """The command of a line, its variables those of the EnvironmentFile."""
        file = (ROOT / self.one("EnvironmentFile").lstrip("/")).read_text()
        values = dict(line.split("=", 1) for line in file.splitlines())
        return shlex.split(re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], self.one(key).removeprefix("-")))

    def stop(self) -> None:
        if not self.keeper.exists():
            return
        pid = int(self.keeper.read_text())
        self.keeper.unlink()  # its keeper restarts nothing without
        subprocess.run(self.command("ExecStop"), check=False, capture_output=True)
        end = time.monotonic() + int(self.one("TimeoutStopSec"))
        while _lives(pid) and time.monotonic() < end:
            time.sleep(0.02)

    def start(self) -> None:
        with (STATE / "journal").open("ab") as journal:
            keeper = subprocess.Popen(
                [sys.executable, __file__, "keep", self.name],
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                start_new_session=True,
            )
        self.keeper.write_text(str(keeper.pid))

    def keep(self) -> None:
        """Run it, and again after a failure, as long as the unit allows."""
        subprocess.run(self.command("ExecStartPre"), check=False, capture_output=True)
        assert self.one("Restart") == "on-failure"
        for _ in range(int(self.one("StartLimitBurst"))):
            running = subprocess.Popen(self.command("ExecStart"))
            if running.wait() == 0 or not self.keeper.exists():
                return
            time.sleep(float(self.one("RestartSec")))
            if not self.keeper.exists():
                return


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main(words: list[str]) -> None:
    match words:
        case ["daemon-reload"]:
            pass
        case ["reset-failed", _]:
            sys.exit(0)
        case ["enable", "--quiet", name]:
            Unit(name).wanted.parent.mkdir(exist_ok=True)
            Unit(name).wanted.unlink(missing_ok=True)
            Unit(name).wanted.symlink_to(UNITS / f"{name}.service")
        case ["disable", "--quiet", "--now", name]:
            Unit(name).wanted.unlink(missing_ok=True)
            Unit(name).stop()
        case ["restart", name]:
            Unit(name).stop()
            Unit(name).start()
        case ["keep", name]:
            Unit(name).keep()
        case _:
            sys.exit(f"systemctl: {words} is not what the stand-in knows.")


if __name__ == "__main__":
    main(sys.argv[1:])
