"""A run as its training sees it, and which runs fit together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bpsweep.agent.config import RunConfig
from bpsweep.agent.training.course import Course, Keeping, say_nothing
from bpsweep.agent.training.epochs import Listener, Outcome, Question
from bpsweep.agent.training.inputs import Inputs
from bpsweep.agent.training.training_name import describe_training
from bpsweep.agent.trajectory.store import TrajectoryStore

OF_MEMBERS = {"learning_rate", "weight_decay", "seed", "epochs"}
"""Settings in which the members of a stack may differ."""
STACKABLE = ("lenet5", "mlp")
OF_NO_NETWORK = ("histogram", "brightness")
"""Controls that train another model than the one named, in one epoch."""


@dataclass
class Member:
    """A run: its settings, its data, and whom it tells and asks, as for `train`.

    Args:
        config: Its settings.
        inputs: Training and validation batches.
        listen: Told every epoch.
        must_stop: Asked whether it is to end with what it has.
        run: Its id, by which others name whose epochs they took over.
        say: Takes a line for the user.
    """

    config: RunConfig
    inputs: Inputs
    listen: Listener
    must_stop: Question
    run: str = "?"
    say: Callable[[str], None] = say_nothing
    course: Course = field(init=False)

    def __post_init__(self) -> None:
        """Begin a course that nothing is kept of."""
        self.course = Course(self.config.epochs, self.listen, self.must_stop)

    def keep_in(self, store: TrajectoryStore | None, step: str) -> None:
        """Begin a course that is kept, unless there is no store or nothing worth it.

        Args:
            store: Where.
            step: What computes it, in words: other steps give other last digits.
        """
        if store is None or self.config.control in OF_NO_NETWORK:
            return
        trajectory = store.open(describe_training(self.config, self.inputs, step))
        keeping = Keeping(store, trajectory, self.run, self.say)
        self.course = Course(self.config.epochs, self.listen, self.must_stop, keeping)

    def end(self, *, interrupted: bool) -> Outcome:
        """Return what there is; an error where the first epoch has not ended."""
        try:
            return Outcome(self.course.end(interrupted=interrupted))
        except KeyboardInterrupt as error:
            return Outcome(error=error)


def group_runs(configs: Sequence[RunConfig]) -> list[list[int]]:
    """Return which runs fit together, as lists of positions in the order of their first ones."""
    groups: dict[str, list[int]] = {}
    for i, config in enumerate(configs):
        fits = config.model in STACKABLE and config.control == "none"
        key = config.model_dump_json(exclude=OF_MEMBERS) if fits else str(i)
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def split_shared(configs: Sequence[RunConfig]) -> tuple[list[int], list[int]]:
    """Return the longest run of each training, and the others, whose epochs are all among its."""
    longest: dict[str, int] = {}
    for i, config in enumerate(configs):
        key = config.model_dump_json(exclude={"epochs"})
        if key not in longest or config.epochs > configs[longest[key]].epochs:
            longest[key] = i
    first = sorted(longest.values())
    return first, [i for i in range(len(configs)) if i not in first]
