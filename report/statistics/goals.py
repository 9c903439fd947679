"""What is asked of a sweep: which metric is to reach which value, with what confidence."""

from dataclasses import dataclass
from typing import Literal

from bpsweep.report.errors import ReportError
from bpsweep.report.statistics.intervals import Draws, Interval
from bpsweep.report.statistics.scores import ACCURACY, DEFAULT_LEVEL, METRICS, Metric

Status = Literal["reached", "likely", "not reached", "no result"]


@dataclass(frozen=True)
class Goal:
    """What is asked of a configuration.

    Args:
        metric: The measure.
        target: Its value to reach: at least, or at most for Hamming.
        level: Confidence of the intervals, and of *reached*.
    """

    metric: Metric
    target: float
    level: float

    def find_status(self, value: float | None, interval: Interval | None) -> Status:
        """Judge a value and its interval.

        Returns:
            "reached" where the whole interval meets the target, "likely" where the value does
            and the interval straddles or is unknown, else "not reached"; "no result" for None.
        """
        if value is None:
            return "no result"
        if not self.metric.meets(value, self.target):
            return "not reached"
        if interval is None:
            return "likely"
        worst = interval.low if self.metric.higher_is_better else interval.high
        return "reached" if self.metric.meets(worst, self.target) else "likely"

    def find_probability(self, draws: Draws) -> float:
        """Return the share of draws that meet the target."""
        met = draws >= self.target if self.metric.higher_is_better else draws <= self.target
        return float(met.mean())


def set_goal(
    target: float | None = None, metric: str = ACCURACY.name, level: float = DEFAULT_LEVEL
) -> Goal:
    """Check what is asked for.

    Args:
        target: Value to reach, a share in (0, 1]; by default 0.8, or 0.2 for Hamming.
        metric: "accuracy", "jaccard" or "hamming".
        level: Confidence in (0, 1).

    Raises:
        ReportError: An unknown metric, or a target or level that is no share.
    """
    if metric not in METRICS:
        raise ReportError(f"metric {metric!r} is unknown; choose one of {', '.join(METRICS)}.")
    wanted = METRICS[metric].default_target if target is None else target
    if not 0 < wanted <= 1:
        raise ReportError(f"target {wanted!r} is not a share: give a number in (0, 1], as 0.8.")
    if not 0 < level < 1:
        raise ReportError(f"level {level!r} is no confidence: give a number in (0, 1), as 0.95.")
    return Goal(METRICS[metric], wanted, level)
