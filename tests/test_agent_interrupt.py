"""An interruption ends what has begun, whenever it comes, and says nothing it need not."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bpsweep.agent.interrupt import held_interrupts
from bpsweep.agent.runs.agents import AgentGroup, Order

TOLD_AS_WORKERS_ARE_BORN = """
import os, signal, time
from bpsweep.agent.runs import foreman
from bpsweep.agent.runs.agents import Order

def sleep(order, number, inputs, alive):
    time.sleep(60)
    os._exit(0)

def fork_and_be_told(fork=os.fork):
    process_id = fork()
    if process_id:
        os.kill(os.getpid(), signal.SIGTERM)
    return process_id

foreman._become_worker = sleep
os.fork = fork_and_be_told
foreman.Foreman(Order("a/b/c", {}, ["log-1", "log-2"]), None).work()
print("no worker left")
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_for_the_end_of_an_import(sent: signal.Signals) -> None:
    before = signal.getsignal(sent)
    at_the_end = False
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        os.kill(os.getpid(), sent)
        time.sleep(0.01)
        at_the_end = True
    assert at_the_end
    assert signal.getsignal(sent) == before


@pytest.mark.parametrize("pause_s", [0.3, 1.0])
def test_a_foreman_stopped_as_it_loads_says_nothing(
    pause_s: float, capfd: pytest.CaptureFixture[str]
) -> None:
    with AgentGroup() as group:
        group.begin(Order("a/b/c", {}, []))
        time.sleep(pause_s)
        before_s = time.monotonic()
    assert time.monotonic() < before_s + 2
    assert capfd.readouterr() == ("", "")


def test_a_worker_born_as_its_foreman_is_told_to_go_goes_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOLD_AS_WORKERS_ARE_BORN],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "no worker left\n"


def test_a_program_of_others_ends_with_whoever_started_it() -> None:
    start = (
        "import subprocess, sys, time\n"
        "words = [sys.executable, '-P', '-m', 'bpsweep.agent.orphan', 'sleep', '61']\n"
        "child = subprocess.Popen(words, stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", start], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        wrapper = psutil.Process(int(starter.stdout.readline()))
        until = time.monotonic() + 10
        while not (family := wrapper.children()) and time.monotonic() < until:
            time.sleep(0.05)
        starter.kill()
    _, alive = psutil.wait_procs([wrapper, *family], timeout=10)
    assert family and not alive
