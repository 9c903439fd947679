"""A training step does not ask the system for its buffers again and again."""

import subprocess
import sys

import pytest

STEPS = """
import os, resource, sys, torch
os.environ["BPSWEEP_COMPILED"] = "0"  # torch's own step is the one with large buffers
from bpsweep.agent.training.memory import keep_freed_memory
from bpsweep.models import ModelConfig, build_model
if sys.argv[1] == "keep":
    assert keep_freed_memory()
torch.set_num_threads(1)
network = build_model(ModelConfig("lenet5", image_size=200, n_labels=2, seed=0))
images = torch.rand(64, 1, 200, 200)
def step():
    network.zero_grad()
    network(images).sum().backward()
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step(), step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_steps_after_the_first_make_few_page_faults() -> None:
    faults = {
        mode: int(subprocess.check_output([sys.executable, "-c", STEPS, mode]))
        for mode in ("default", "keep")
    }
    assert faults["keep"] < faults["default"] / 5, faults
