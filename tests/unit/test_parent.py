"""A process dies with its parent, also when the parent went first (those that go later: tests/e2e)."""

import signal
import subprocess
import sys

import pytest

from mlsys.catalogue import ROOT


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_whose_parent_has_gone_already_does_not_live_on(number: signal.Signals) -> None:
    code = f"import signal; from mlsys.parent import die_with_parent; die_with_parent(1, signal.Signals({number}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -number
