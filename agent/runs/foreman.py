"""`python -m bpsweep.agent.runs.foreman`: loads what all workers need once, then splits into them.

Torch, wandb and scikit-learn take seconds to load and a few hundred megabytes, and so do labels
and splits of a large set; workers that are forks of one process share all of it. It starts before
the sweep exists, says nothing to anybody, and waits for its order: one line of JSON on its standard
input. That input stays open as long as the command that wants the work lives; then all of it ends.

Off Linux a forked torch can crash, so workers are fresh processes there, started by
`python -m bpsweep.agent.runs.foreman --worker`.
"""

import atexit
import contextlib
import gc
import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from types import FrameType

import numpy as np

from bpsweep.agent import home
from bpsweep.agent.config import RunConfig
from bpsweep.agent.errors import AgentError
from bpsweep.agent.interrupt import SIGNALS
from bpsweep.agent.orphan import end_with
from bpsweep.agent.presence import stay_present
from bpsweep.agent.runs.agents import Order
from bpsweep.agent.runs.log import log_to
from bpsweep.agent.runs.pictures import draw_confusion
from bpsweep.agent.runs.worker import run_worker
from bpsweep.agent.tracking.late import load_late_parts
from bpsweep.agent.tracking.variables import adopt
from bpsweep.agent.training.warm_inputs import WarmInputs
from bpsweep.data.errors import DataError
from bpsweep.report.statistics.confusion import count_confusion

MAX_RESTARTS = 10
"""How often a worker that was killed or has crashed is replaced."""
EXIT_BROKEN = 70
FORKS = "BPSWEEP_FORK"
"""The variable that, set to 0 or 1, has workers started as fresh processes or as forks."""


def uses_forks() -> bool:
    """Tell whether workers are forks of their foreman here."""
    named = os.environ.get(FORKS)
    return named != "0" if named else sys.platform == "linux"


class Foreman:
    """Starts workers and waits for them; one that a signal ended is replaced a few times."""

    def __init__(self, order: Order, inputs: WarmInputs) -> None:
        self._order, self._inputs = order, inputs
        self._start = self._fork if uses_forks() else self._spawn
        self._alive = os.pipe()  # our end closes with us, and workers hear of it
        self._workers: dict[int, int] = {}  # process id -> number of the worker
        self._n_restarts = [0] * len(order.log_paths)
        self._is_leaving = False

    def work(self) -> int:
        """Have the sweep worked off; return the exit status: broken if a worker was."""
        status_of_all = 0
        for sent in SIGNALS:
            signal.signal(sent, self._pass_on)
        gc.freeze()  # what is not looked at is not copied
        for number in range(len(self._order.log_paths)):
            if not self._is_leaving:
                self._start(number)
        while self._workers:
            process_id, status = os.wait()
            number = self._workers.pop(process_id)
            died = os.WIFSIGNALED(status) and not self._is_leaving
            if died and self._n_restarts[number] < MAX_RESTARTS:
                self._n_restarts[number] += 1
                self._start(number)
            elif died or os.waitstatus_to_exitcode(status) == EXIT_BROKEN:
                status_of_all = EXIT_BROKEN
        return status_of_all

    def _fork(self, number: int) -> None:
        # A child forgets what it was sent before it was whole: until then signals wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        with warnings.catch_warnings():  # of threads: those of BLAS know how to be forked
            warnings.simplefilter("ignore", DeprecationWarning)
            process_id = os.fork()
        if process_id == 0:
            for sent in SIGNALS:
                signal.signal(sent, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(self._alive[1])
            forget_inherited_exits()
            _become_worker(self._order, number, self._inputs, self._alive[0])
        self._workers[process_id] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if self._is_leaving:  # told so by way of another thread, before this worker was known
            os.kill(process_id, signal.SIGTERM)

    def _spawn(self, number: int) -> None:
        """Start a worker as a fresh process; its order comes by a pipe, for it holds a key."""
        reading, writing = os.pipe()
        alive = os.dup(self._alive[0])
        os.set_inheritable(alive, True)
        process_id = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", __spec__.name, "--worker", str(number), str(alive)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
        )
        os.write(writing, self._order.write())
        for end in (reading, writing, alive):
            os.close(end)
        self._workers[process_id] = number
        if self._is_leaving:
            os.kill(process_id, signal.SIGTERM)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        self._is_leaving = True
        for process_id in list(self._workers):
            with contextlib.suppress(ProcessLookupError):  # ended this moment
                os.kill(process_id, signum)


def forget_inherited_exits() -> None:
    """Leave what is to be done at the foreman's exit to the foreman.

    A fork that ended early would remove the client's folder for media under its siblings' hands.
    What the client registers in the fork itself, the end of its service, is not touched.
    """
    atexit._clear()


def _become_worker(order: Order, number: int, inputs: WarmInputs, alive: int) -> None:
    """Be a worker, with a log of its own, to the end of this process or of its foreman."""
    status = EXIT_BROKEN
    try:
        end_with(alive)
        log_to(Path(order.log_paths[number]))
        status = run_worker(order.sweep, n_stacked=order.n_stacked, inputs=inputs)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()  # the client ends its service there; os._exit would skip it
        os._exit(status)


def load_fonts() -> None:
    """Draw nothing in particular, for matplotlib loads its fonts when it first draws."""
    labels = np.eye(2, dtype=np.uint8)
    draw_confusion(count_confusion(labels, labels, ("a", "b")), "fonts")


def load_inputs(order: Order) -> WarmInputs:
    """Load what the order says of runs to come; a run will say what is wrong with its inputs."""
    if "sklearn-mlp" in order.models:
        import bpsweep.agent.training.sklearn_engine  # noqa: F401, PLC0415
    inputs = WarmInputs()
    for settings in order.inputs:
        with contextlib.suppress(AgentError, DataError):
            inputs.load(RunConfig(**settings))
    return inputs


def read_order() -> Order | None:
    """Wait for the order; None where the command has gone without giving one."""
    line = bytearray()
    while not line.endswith(b"\n"):
        more = os.read(0, 4096)
        if not more:
            return None
        line += more
    order = Order(**json.loads(line))
    adopt(os.environ, order.environment)
    return order


def main() -> None:
    """Wait for the order and carry it out; without one, go."""
    if sys.argv[1:2] == ["--worker"]:
        number, alive = (int(text) for text in sys.argv[2:4])
        order = read_order()
        if order is not None:
            _become_worker(order, number, WarmInputs(), alive)
        return
    load_late_parts()
    load_fonts()
    order = read_order()
    if order is None:
        return
    end_with(0)
    for path in order.log_paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    inputs = load_inputs(order) if uses_forks() else WarmInputs()
    with stay_present(home.users_dir()):
        status = Foreman(order, inputs).work()
    sys.exit(status)


if __name__ == "__main__":
    main()
