"""Release the image to a machine over SSH: `make deploy-vm HOST=user@host`."""

import argparse
import sys
import time
from functools import partial

from . import engine
from .engine import EngineError
from .rollout import MachineError, Outcome, roll_out
from .ssh import Ssh
from .vm import Vm


def deploy(options: argparse.Namespace) -> int:
    """Release; the exit code says how it ended. Raises: MachineError, EngineError."""
    ssh = Ssh(options.host, options.ssh_config)
    image = engine.named(options.registry, options.tag or engine.release())
    machine = Vm(ssh, options.port, options.registry)
    machine.check()
    with machine.alone():
        good = machine.good()
        pause = partial(time.sleep, options.every)
        outcome = roll_out(machine, image, within_s=options.within, clock=time.monotonic, pause=pause, tell=_tell)
        if outcome is Outcome.RELEASED and good != image:  # else the image before would go, and with it the way back
            tidy(machine, image, good)
    _tell(outcome.sentence.format(image=image, good=good, within_s=options.within))
    if outcome is not Outcome.RELEASED:
        _tell(f"Why is in the log: ssh {options.host} journalctl --unit {engine.NAME}")
    return outcome.code


def tidy(machine: Vm, *keep: str | None) -> None:
    """Remove former images; that this fails is told, and is no failure of the release."""
    try:
        machine.tidy(*keep)
    except MachineError as error:
        _tell(f"Former images were not removed: {error}")


def _port(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        raise argparse.ArgumentTypeError(f"{given!r} is no port: a number from 1 to 65535.")
    return int(given)


def _seconds(given: str) -> float:
    seconds = float(given)  # argparse tells what is no number
    if not 0 < seconds < 3600:
        raise argparse.ArgumentTypeError(f"{given!r} is no time in seconds, between 0 and 3600.")
    return seconds


def _tell(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def main() -> None:
    """Exit code 0 if released, 1 if not (the former image runs, or none did), 2 if the service is down or unknown."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.deploy", description=__doc__)
    parser.add_argument("host", help="user@host, or a name of the SSH configuration")
    parser.add_argument("--registry", default="", help="where the machine pulls from; without, the image is sent")
    parser.add_argument("--tag", default="", help="a release, to return to it by hand; without, what is built here")
    parser.add_argument("--port", type=_port, default=8000, help="on which the machine serves")
    parser.add_argument("--ssh-config", default="", help="instead of ~/.ssh/config")
    parser.add_argument("--within", type=_seconds, default=60, help="seconds that an image is given to get healthy")
    parser.add_argument("--every", type=_seconds, default=1, help="seconds between two looks")
    try:
        sys.exit(deploy(parser.parse_args()))
    except KeyboardInterrupt:
        sys.stderr.write(
            "Interrupted: nobody has watched what runs there now. Release again, or an earlier one by TAG=.\n"
        )
        sys.exit(130)
    except EngineError as error:
        sys.exit(f"Cannot deploy: {error}")
    except MachineError as error:
        sys.stderr.write(f"Cannot deploy: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
