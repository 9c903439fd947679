"""Several runs trained as one network, each to its own end."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from bpsweep.agent.training.engine import build_engine
from bpsweep.agent.training.epochs import Outcome
from bpsweep.agent.training.loop import FittedEpoch, judge_epoch
from bpsweep.agent.training.member import Member
from bpsweep.agent.training.stack_batches import CopiedBatches, open_batches
from bpsweep.agent.training.stack_engine import StackEngine
from bpsweep.models.convpool import load_step

N_TIMED = 5
"""Steps of the trial by which a CPU's stacks are judged."""
GAIN = 1.1
"""How much faster a stack must be there."""
LARGEST_SMALL_IMAGE, MIN_LARGE_MEMBERS = 128, 16
"""Up to which side in pixels a GPU gains by any stack, and from how many members above it."""


def train_stack(
    members: Sequence[Member], device: torch.device, first: int = 1
) -> Iterator[tuple[int, Outcome]]:
    """Train runs that fit together as one; give each with what came of it when it has ended.

    A run leaves after its own last epoch, when it diverges, or at the end of the epoch in which
    it was told to stop; the others go on as if it had never been there.

    Args:
        members: The runs.
        device: Where to train.
        first: The epoch to begin with; what the members' courses keep goes on there.
    """
    active = list(range(len(members)))
    engine = build_stack(members, device)
    if first > 1:
        _restore(engine, members, first - 1)
    batches = open_batches([member.inputs.training for member in members], device)
    validation = open_batches([members[0].inputs.validation], device)
    starts_s = [member.course.find_start_s(first) for member in members]
    for epoch in itertools.count(first):
        before_s = time.perf_counter()
        try:
            losses = engine.fit_epoch(batches, epoch, partial(_check, [members[i] for i in active]))
        except KeyboardInterrupt:
            yield from ((i, members[i].end(interrupted=True)) for i in active)
            return
        fit_s = time.perf_counter() - before_s
        probabilities = engine.predict(validation)
        now_s = time.perf_counter()
        staying = []
        for k, i in enumerate(active):
            elapsed_s = now_s - starts_s[i]
            fitted = FittedEpoch(epoch, float(losses[k]), probabilities[k], fit_s, elapsed_s)
            outcome = _finish_epoch(members[i], fitted, engine, k)
            if outcome is None:
                staying.append(k)
            else:
                yield i, outcome
        if not staying:
            return
        if len(staying) < len(active):
            engine.keep(staying)
            active = [active[k] for k in staying]
            batches = open_batches([members[i].inputs.training for i in active], device)


def _check(members: Sequence[Member]) -> None:
    """Stop at once where nobody is left to go on for."""
    if all(member.must_stop() for member in members):
        raise KeyboardInterrupt


def build_stack(members: Sequence[Member], device: torch.device) -> StackEngine:
    """Build the networks of some runs, with the initial weights that each would have alone."""
    inputs = members[0].inputs
    configs = [member.config for member in members]
    return StackEngine(configs, inputs.n_labels, inputs.training, device)


def _restore(engine: StackEngine, members: Sequence[Member], n_done: int) -> None:
    for k, member in enumerate(members):
        found = member.course.find_state()
        assert found is not None and found[0] == n_done
        engine.restore(k, found[1])


def _finish_epoch(
    member: Member, fitted: FittedEpoch, engine: StackEngine, k: int
) -> Outcome | None:
    """Judge and tell a member's epoch; return what came of the run if that was its last."""
    try:
        latest = judge_epoch(member.config, member.inputs, fitted)
        member.course.add(latest, partial(engine.weights, k), partial(engine.state, k))
    except Exception as error:
        return Outcome(error=error)
    if fitted.epoch >= member.config.epochs:
        return member.end(interrupted=False)
    return member.end(interrupted=True) if member.must_stop() else None


def is_faster_stacked(members: Sequence[Member], device: torch.device) -> bool:
    """Tell whether some runs train faster as a stack than one after the other on a device."""
    return is_faster_on_cpu(members) if device.type == "cpu" else is_faster_on_gpu(members)


def is_faster_on_gpu(members: Sequence[Member]) -> bool:
    """Tell whether some runs train faster as a stack on a GPU, by what was measured on one.

    One LeNet-5 of large images keeps a GPU at work by itself, so that few of them together are
    slower (H200, 200 px: 4 as a stack 0.87 times as fast, 16 1.11 times; 64 px: 4 1.8 times; see
    benchmarks/RESULTS.md). An MLP never does.
    """
    config = members[0].config
    is_small = config.model != "lenet5" or config.image_size <= LARGEST_SMALL_IMAGE
    return is_small or len(members) >= MIN_LARGE_MEMBERS


def is_faster_on_cpu(members: Sequence[Member]) -> bool:
    """Tell whether some runs train faster as a stack on this CPU.

    LeNet-5's compiled step is made for one network and is several times as fast as a stack, and
    members with batches of their own take twice as long together. Members that see the same
    images gain from reading them once (MLPs at 200 px: 1.3 to 2.4 times); a short trial decides.
    """
    has_compiled = members[0].config.model == "lenet5" and load_step().library is not None
    sees_same = len({member.inputs.training.settings for member in members}) == 1
    if len(members) == 1 or has_compiled or not sees_same:
        return False
    alone_s = sum(_time_alone(member) for member in members)
    return _time_stacked(members) * GAIN < alone_s


def _time_alone(member: Member) -> float:
    """Return the seconds of a run's step, data included."""
    inputs = member.inputs
    engine = build_engine(member.config, inputs.n_labels, inputs.training)
    return _time_best(lambda: engine.fit_epoch(itertools.islice(inputs.training.epoch(1), 1)))


def _time_stacked(members: Sequence[Member]) -> float:
    """Return the seconds of a stack's step, data included."""
    cpu = torch.device("cpu")
    engine = build_stack(members, cpu)
    batches = open_batches([member.inputs.training for member in members], cpu)
    assert isinstance(batches, CopiedBatches)
    return _time_best(lambda: engine.fit_epoch(batches.cut(1), 1))


def _time_best(step: Callable[[], object]) -> float:
    """Return the shortest of some times, after a step to warm up: others may use the machine."""
    step()
    times_s = []
    for _ in range(N_TIMED):
        started_s = time.perf_counter()
        step()
        times_s.append(time.perf_counter() - started_s)
    return min(times_s)
