"""The warm worker: run after run in one process, whatever happens to one of them."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from server_support import wait_until
from worker_support import Place, open_place, stop_run


@pytest.fixture
def place(tmp_path: Path, small_set: Path) -> Iterator[Place]:
    with open_place(tmp_path, small_set) as made:
        yield made


def states(runs: list[dict[str, Any]]) -> list[str]:
    return sorted(run["state"] for run in runs)


@pytest.mark.slow
def test_a_failing_run_ends_neither_the_worker_nor_the_others(place: Place) -> None:
    sweep = place.make_sweep(image_size=[16, 32, 500], model="mlp", epochs=1)
    assert place.end(place.start(sweep)) == 0, place.said()
    runs = {run["config"]["image_size"]: run for run in place.runs(sweep)}
    for size in (16, 500):
        assert runs[size]["state"] == "failed"
        assert "ConfigError: image_size" in runs[size]["summary"]["error"]
    assert runs[32]["state"] == "finished"
    assert runs[32]["summary"]["best/val/accuracy"] > 0


@pytest.mark.slow
def test_many_failures_in_a_row_end_the_worker(place: Place) -> None:
    sweep = place.make_sweep(batch_size=[0, -1, -2, -3, -4, -5, 16], model="mlp", epochs=1)
    assert place.end(place.start(sweep)) == 1
    assert "5 runs failed one after the other" in place.said()
    assert states(place.runs(sweep)).count("failed") in (5, 6), "one may have been begun"


@pytest.mark.slow
def test_a_stop_reaches_the_run_it_is_for_and_a_signal_leaves_the_others_to_the_next_agent(
    place: Place,
) -> None:
    sweep = place.make_sweep(model="mlp", epochs=4000, learning_rate=[1e-3, 1e-4], image_size=64)
    place.environment["BPSWEEP_DEVICE"] = "cpu"
    worker = place.start(sweep, "--stack", "2")
    wait_until(lambda: "epoch 2/4000" in place.said(), 90)
    first, second = place.runs(sweep)
    stop_run(place, sweep, first["name"])

    def find(name: str) -> dict[str, Any]:
        return next(run for run in place.runs(sweep) if run["name"] == name)

    wait_until(lambda: find(first["name"])["state"] == "killed", 60)
    assert find(second["name"])["state"] == "running"
    worker.send_signal(signal.SIGTERM)
    assert place.end(worker, 30) == 130
    ended = find(second["name"])
    assert ended["state"] == "preempted" and ended["summary"]["best/val/accuracy"] > 0


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_costs_no_run(place: Place) -> None:
    sweep = place.make_sweep(
        model="mlp", epochs=20, learning_rate=[1e-3, 3e-4, 1e-4], image_size=64
    )
    worker = place.start(sweep)
    wait_until(lambda: "epoch 3/20" in place.said(), 90)
    place.server.stop(signal.SIGKILL)
    time.sleep(4)
    place.server.start()
    assert place.end(worker) == 0, place.said()
    finished = [run for run in place.runs(sweep) if run["state"] == "finished"]
    rates = sorted(run["config"]["learning_rate"] for run in finished)
    assert rates == [1e-4, 3e-4, 1e-3], place.runs(sweep)


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["bpsweep", "wandb"])
def test_a_server_away_or_still_for_long_costs_no_run(place: Place, agent: str) -> None:
    """As a machine that is asleep: longer than a lease, and than the client waits at its login."""
    sweep = place.make_sweep(model="mlp", epochs=60, learning_rate=[1e-3, 1e-4], image_size=64)
    worker = place.start(sweep) if agent == "bpsweep" else place.start_stock(sweep)
    wait_until(lambda: "epoch 3/60" in place.said(), 90)
    place.server.stop(signal.SIGKILL)
    time.sleep(35)
    place.server.start()
    assert place.server.process is not None
    server = psutil.Process(place.server.process.pid)
    server.suspend()
    time.sleep(60)
    server.resume()
    assert place.end(worker) == 0, place.said()
    runs = place.runs(sweep)
    finished = sorted(r["config"]["learning_rate"] for r in runs if r["state"] == "finished")
    assert finished == [1e-4, 1e-3], place.said()
    assert "failed" not in states(runs) and "AuthenticationError" not in place.said()


@pytest.mark.slow
def test_memory_and_threads_do_not_grow_from_run_to_run(place: Place) -> None:
    sweep = place.make_sweep(model="lenet5", epochs=1, seed=list(range(16)))
    worker = place.start(sweep)
    process = psutil.Process(worker.pid)
    taken: dict[int, list[tuple[int, int]]] = {}
    while worker.poll() is None:
        n_done = states(place.runs(sweep)).count("finished")
        with contextlib.suppress(psutil.NoSuchProcess):
            now = process.memory_info().rss, process.num_threads()
            taken.setdefault(n_done, []).append(now)
        time.sleep(0.1)
    assert place.end(worker) == 0, place.said()
    assert states(place.runs(sweep)) == ["finished"] * 16
    # The least of some moments: a run that is under way holds threads and memory of its own
    (early, few), (late, many) = (
        [min(of) for of in zip(*(now for n in done for now in taken.get(n, [])), strict=True)]
        for done in (range(4, 8), range(12, 16))
    )
    assert late < early + 40e6, taken
    assert many <= few + 4, taken
