"""Several runs trained as one network, each to its own end."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.cores import at_work
from bpsweep.agent.training.device import choose_device
from bpsweep.agent.training.engine import build_engine
from bpsweep.agent.training.inputs import Inputs
from bpsweep.agent.training.loop import (
    FittedEpoch,
    Listener,
    Outcome,
    Question,
    Tally,
    judge_epoch,
    train,
)
from bpsweep.agent.training.protocol import Weights
from bpsweep.agent.training.stack_batches import CopiedBatches, open_batches
from bpsweep.agent.training.stack_engine import StackEngine
from bpsweep.models.convpool import load_step

OF_MEMBERS = {"learning_rate", "weight_decay", "seed", "epochs"}
"""Settings in which the members of a stack may differ."""
STACKABLE = ("lenet5", "mlp")
OF_NO_NETWORK = ("histogram", "brightness")
"""Controls that train another model than the one named."""
N_TIMED = 5
"""Steps of the trial by which a CPU's stacks are judged."""
GAIN = 1.1
"""How much faster a stack must be there."""


@dataclass(frozen=True)
class Member:
    """A run in a stack: its settings, its data, and whom it tells and asks, as for `train`."""

    config: RunConfig
    inputs: Inputs
    listen: Listener
    must_stop: Question
    tally: Tally = field(default_factory=Tally)


def group_runs(configs: Sequence[RunConfig]) -> list[list[int]]:
    """Return which runs fit together, as lists of positions in the order of their first ones."""
    groups: dict[str, list[int]] = {}
    for i, config in enumerate(configs):
        fits = config.model in STACKABLE and config.control == "none"
        key = config.model_dump_json(exclude=OF_MEMBERS) if fits else str(i)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def train_group(members: Sequence[Member]) -> Iterator[tuple[int, Outcome]]:
    """Train runs that fit together, as one or one after the other, whichever is faster here.

    Returns:
        Each run's position with what came of it, as soon as it has ended.

    Raises:
        ConfigError: BPSWEEP_DEVICE names no device.
    """
    device = choose_device()
    with at_work():
        yield from _train_group(members, device)


def _train_group(members: Sequence[Member], device: torch.device) -> Iterator[tuple[int, Outcome]]:
    fits = group_runs([member.config for member in members]) == [list(range(len(members)))]
    first = members[0].config
    is_stackable = fits and first.model in STACKABLE and first.control not in OF_NO_NETWORK
    if is_stackable and (device.type != "cpu" or is_faster_stacked(members)):
        yield from _train_stack_or_halves(members, device)
    else:
        yield from ((i, train_alone(member)) for i, member in enumerate(members))


def _train_stack_or_halves(
    members: Sequence[Member], device: torch.device
) -> Iterator[tuple[int, Outcome]]:
    """Train a stack; one too large for the device's memory as two, one after the other."""
    ended = set()
    try:
        for i, outcome in train_stack(members, device):
            ended.add(i)
            yield i, outcome
    except Exception as error:
        half = len(members) // 2
        has_begun = any(member.tally.has_begun for member in members)
        if isinstance(error, torch.OutOfMemoryError) and half and not has_begun:
            yield from _train_stack_or_halves(members[:half], device)
            second = _train_stack_or_halves(members[half:], device)
            yield from ((half + i, outcome) for i, outcome in second)
        else:
            rest = (i for i in range(len(members)) if i not in ended)
            yield from ((i, Outcome(error=error)) for i in rest)


def train_alone(member: Member) -> Outcome:
    """Train one run; return what came of it, be it an error."""
    try:
        return Outcome(train(member.config, member.inputs, member.listen, member.must_stop))
    except (Exception, KeyboardInterrupt) as error:
        return Outcome(error=error)


def train_stack(members: Sequence[Member], device: torch.device) -> Iterator[tuple[int, Outcome]]:
    """Train runs that fit together as one; give each with what came of it when it has ended.

    A run leaves after its own last epoch, when it diverges, or at the end of the epoch in which
    it was told to stop; the others go on as if it had never been there.
    """
    active = list(range(len(members)))
    engine = build_stack(members, device)
    batches = open_batches([member.inputs.training for member in members], device)
    validation = open_batches([members[0].inputs.validation], device)
    started_s = time.perf_counter()
    for epoch in itertools.count(1):
        before_s = time.perf_counter()
        try:
            losses = engine.fit_epoch(batches, epoch, partial(_check, [members[i] for i in active]))
        except KeyboardInterrupt:
            yield from ((i, _end(members[i], interrupted=True)) for i in active)
            return
        fit_s = time.perf_counter() - before_s
        probabilities = engine.predict(validation)
        elapsed_s = time.perf_counter() - started_s
        staying = []
        for k, i in enumerate(active):
            fitted = FittedEpoch(epoch, float(losses[k]), probabilities[k], fit_s, elapsed_s)
            outcome = _finish_epoch(members[i], fitted, partial(engine.weights, k))
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


def _finish_epoch(
    member: Member, fitted: FittedEpoch, weights: Callable[[], Weights]
) -> Outcome | None:
    """Judge and tell a member's epoch; return what came of the run if that was its last."""
    try:
        latest = judge_epoch(member.config, member.inputs, fitted)
        member.tally.add(latest, weights)
        member.listen(latest)
    except Exception as error:
        return Outcome(error=error)
    if fitted.epoch >= member.config.epochs:
        return _end(member, interrupted=False)
    return _end(member, interrupted=True) if member.must_stop() else None


def _end(member: Member, interrupted: bool) -> Outcome:
    try:
        return Outcome(member.tally.end(interrupted))
    except KeyboardInterrupt as error:
        return Outcome(error=error)


def is_faster_stacked(members: Sequence[Member]) -> bool:
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
