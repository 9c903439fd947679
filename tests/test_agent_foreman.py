"""Forked workers: one that ends takes nothing from the others."""

import atexit
import os
import tempfile
from pathlib import Path

from bpsweep.agent.runs.foreman import forget_inherited_exits


def test_a_worker_that_ends_leaves_the_foremans_folders_to_the_others() -> None:
    shared = tempfile.TemporaryDirectory()
    child = os.fork()
    if child == 0:
        try:
            forget_inherited_exits()
            atexit._run_exitfuncs()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert Path(shared.name).is_dir()
    shared.cleanup()
