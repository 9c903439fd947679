"""Runs that were taken together, trained as one network or one after the other."""

from collections.abc import Iterator, Sequence

import torch

from bpsweep.agent.training.cores import at_work
from bpsweep.agent.training.device import choose_device, name_step
from bpsweep.agent.training.epochs import Outcome
from bpsweep.agent.training.loop import train_course
from bpsweep.agent.training.member import (
    OF_NO_NETWORK,
    STACKABLE,
    Member,
    group_runs,
    split_shared,
)
from bpsweep.agent.training.stack import is_faster_stacked, train_stack
from bpsweep.agent.trajectory.store import TrajectoryStore, open_store


def train_group(members: Sequence[Member]) -> Iterator[tuple[int, Outcome]]:
    """Train runs that fit together, as one or one after the other, whichever is faster here.

    What is kept of an earlier training is taken over, and what is trained is kept.

    Returns:
        Each run's position with what came of it, as soon as it has ended.

    Raises:
        ConfigError: BPSWEEP_DEVICE names no device, or BPSWEEP_TRAJECTORIES_GB no size.
    """
    device, store = choose_device(), open_store()
    fits = group_runs([member.config for member in members]) == [list(range(len(members)))]
    first = members[0].config
    is_stackable = fits and first.model in STACKABLE and first.control not in OF_NO_NETWORK
    if is_stackable and _is_faster_stacked(members, device):
        yield from _train_together(members, device, store)
    elif is_stackable and device.type != "cpu":  # a network by itself is a stack of one there
        for i, member in enumerate(members):
            for _, outcome in _train_together([member], device, store):
                yield i, outcome
    else:
        yield from ((i, train_alone(member, store)) for i, member in enumerate(members))


def _is_faster_stacked(members: Sequence[Member], device: torch.device) -> bool:
    with at_work():
        return is_faster_stacked(members, device)


def train_alone(member: Member, store: TrajectoryStore | None = None) -> Outcome:
    """Train one run; return what came of it, be it an error."""
    try:
        member.keep_in(store, name_step(torch.device("cpu")))
        return Outcome(train_course(member.config, member.inputs, member.course, at_work))
    except (Exception, KeyboardInterrupt) as error:
        return Outcome(error=error)


def _train_together(
    members: Sequence[Member], device: torch.device, store: TrajectoryStore | None
) -> Iterator[tuple[int, Outcome]]:
    """Train stacks of those that go on after the same epoch, then those whose epochs these have."""
    longest, shorter = split_shared([member.config for member in members])
    if store is None:
        longest, shorter = list(range(len(members))), []
    waiting: dict[int, list[int]] = {}  # after which epoch -> who
    for i in longest:
        outcome = _take_over(members[i], device, store)
        if outcome is not None:
            yield i, outcome
            continue
        found = members[i].course.find_state()
        waiting.setdefault(found[0] if found else 0, []).append(i)
    for n_done, some in sorted(waiting.items(), reverse=True):
        with at_work():
            stack = [members[i] for i in some]
            for k, outcome in _train_stack_or_halves(stack, device, n_done + 1):
                yield some[k], outcome
        for member in stack:
            member.course.close()
    if shorter:
        for k, outcome in _train_together([members[i] for i in shorter], device, store):
            yield shorter[k], outcome


def _take_over(
    member: Member, device: torch.device, store: TrajectoryStore | None
) -> Outcome | None:
    """Take over what is kept of a member of a stack; return what came of it if that was all.

    A stack waits for nobody: what another process trains at this moment is trained here too.
    """
    try:
        member.keep_in(store, f"stack, {name_step(device)}")
        is_whole = member.course.take_over(wait=False)
    except Exception as error:
        return Outcome(error=error)
    except KeyboardInterrupt:
        is_whole = None
    if is_whole is False:
        return None
    member.course.close()
    return member.end(interrupted=is_whole is None)


def _train_stack_or_halves(
    members: Sequence[Member], device: torch.device, first: int
) -> Iterator[tuple[int, Outcome]]:
    """Train a stack; one too large for the device's memory as two, one after the other."""
    ended = set()
    try:
        for i, outcome in train_stack(members, device, first):
            ended.add(i)
            yield i, outcome
    except Exception as error:
        half = len(members) // 2
        has_begun = any(member.course.has_trained for member in members)
        if isinstance(error, torch.OutOfMemoryError) and half and not has_begun:
            yield from _train_stack_or_halves(members[:half], device, first)
            second = _train_stack_or_halves(members[half:], device, first)
            yield from ((half + i, outcome) for i, outcome in second)
        else:
            rest = (i for i in range(len(members)) if i not in ended)
            yield from ((i, Outcome(error=error)) for i in rest)
