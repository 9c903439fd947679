"""Cores are shared by what trains now; a killed process takes none."""

import signal
import subprocess
import sys

import pytest
import torch

from bpsweep.agent.errors import ConfigError
from bpsweep.agent.training import cores

HOLD = """
import sys, time
from bpsweep.agent.training.cores import at_work
with at_work():
    print("at work", flush=True)
    time.sleep(60)
"""


def start_other() -> subprocess.Popen[str]:
    other = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "at work\n"
    other.stdout.close()
    return other


def test_a_run_takes_its_part_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "count_cpus", lambda: 5)
    before = torch.get_num_threads()
    others = []
    try:
        with cores.at_work():
            assert torch.get_num_threads() == 5
            others = [start_other()]
            assert cores.share_cores() == 2
            others[0].send_signal(signal.SIGKILL)
            others[0].wait()
            assert cores.share_cores() == 5 == torch.get_num_threads()
            assert cores.count_at_work() == 1, "what was killed is cleared away"
        assert cores.count_at_work() == 0
    finally:
        for other in others:
            other.kill()
            other.wait()
        torch.set_num_threads(before)


def test_threads_that_are_named_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("BPSWEEP_THREADS", "3")
    try:
        assert cores.share_cores() == 3
    finally:
        torch.set_num_threads(before)
    monkeypatch.setenv("BPSWEEP_THREADS", "many")
    with pytest.raises(ConfigError, match="BPSWEEP_THREADS='many'"):
        cores.share_cores()
