"""The peers' environments: one throw-away virtual environment each, so that no peer's versions bend ours."""

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("peers")
FOLDER = Path(__file__).resolve().with_name(".peers")


def ensure(peer: str) -> None:
    """Install the peer's pinned packages, unless exactly these are there. Raises: SystemExit with pip's last words."""
    wanted = (REQUIREMENTS / f"{peer}.txt").read_text()
    folder = FOLDER / peer
    done = folder / "installed.txt"
    if done.exists() and done.read_text() == wanted:
        return
    print(f"Installing {peer} into {folder} …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    requirements = str(REQUIREMENTS / f"{peer}.txt")
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        raise SystemExit(
            f"{peer} could not be installed ({installed.stderr.strip().splitlines()[-1]}); "
            "leave it out by naming the others with --only."
        )
    done.write_text(wanted)


def versions(peer: str, *packages: str) -> list[str]:
    """The pins of these packages, such as `litserve==0.2.19`."""
    pins = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    return [pin for pin in pins if pin.partition("==")[0] in packages]
