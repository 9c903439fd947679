"""A verdict in sentences that a biologist can act on."""

from collections import Counter
from typing import Final

from bpsweep.report.statistics.goals import Goal
from bpsweep.report.statistics.intervals import CLUSTERED, Interval
from bpsweep.report.statistics.scores import ACCURACY, Metric
from bpsweep.report.statistics.verdict import Row, Verdict
from bpsweep.report.statistics.wells import FEW_PLATES, FEW_WELLS
from bpsweep.report.text.numbers import (
    list_values,
    name_chance,
    name_share,
    show_spread,
    show_value,
)

_MOST_TROUBLES: Final = 3  # named one by one
SYNTHETIC_NOTE: Final = "Synthetic images: these figures say nothing about real cells."


def describe(verdict: Verdict) -> list[str]:
    """Return the verdict in sentences: the audit, the count, the best, what to keep in mind."""
    lines = [f"Audit: {verdict.audit}."] if verdict.audit else []
    lines += [count_reached(verdict), *name_best(verdict)]
    lines += [*name_troubles(verdict), *name_basis(verdict), *name_unfinished(verdict)]
    return [*lines, SYNTHETIC_NOTE] if verdict.synthetic else lines


def name_unfinished(verdict: Verdict) -> list[str]:
    """Say which runs have not finished, and what the commonest errors are."""
    unfinished = [row for row in verdict.rows if row.state != "finished"]
    if not unfinished:
        return []
    counts = Counter(row.state for row in unfinished)
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    errors = Counter(row.run.error for row in unfinished if row.run.error)
    return [
        f"Not finished: {listed}; their rows show the epochs they logged.",
        *(f"{count} failed with: {error}" for error, count in errors.most_common(3)),
    ]


def name_troubles(verdict: Verdict) -> list[str]:
    """Say which configurations name one class for every cell or have a loss that learns nothing."""
    found = [(row, row.trouble) for row in verdict.rows if row.trouble is not None]
    if not found:
        return []
    n_one = sum(trouble.is_one_class for _, trouble in found)
    lines = []
    if n_one:
        n, is_are = len(verdict.rows), "names" if n_one == 1 else "name"
        lines.append(
            f"{n_one} of {n} configuration{'s' * (n != 1)} {is_are} one class for every cell: "
            f"{'its' if n_one == 1 else 'their'} accuracy is the share of that class, and no skill."
        )
    others = [(row, trouble) for row, trouble in found if row is not verdict.best]
    lines += [f"{name_row(row)} {trouble.text}." for row, trouble in others[:_MOST_TROUBLES]]
    if len(others) > _MOST_TROUBLES:
        lines.append(f"{len(others) - _MOST_TROUBLES} more learn as little; their rows say so.")
    return lines


def count_reached(verdict: Verdict) -> str:
    """Say how many configurations reach the target, and how many are likely to."""
    n, reached, likely = len(verdict.rows), verdict.n_reached, verdict.n_likely
    confidence = f"with {name_share(verdict.goal.level)} confidence"
    noun = "configuration" if n == reached == 1 else "configurations"
    line = (
        f"{reached} of {n} {noun} reach{'es' * (reached == 1)} "
        f"{name_goal(verdict.goal)} {confidence}{_where(verdict)}"
    )
    if likely:
        more = "more " if reached else ""
        line += (
            f"; {likely} {more}{'is' if likely == 1 else 'are'} likely to: at the target, but the "
            "interval straddles it"
        )
    return line + "."


def _where(verdict: Verdict) -> str:
    if verdict.n_validation is None:
        return ""
    kind = "synthetic cells" if verdict.synthetic else "cells"
    of = ""
    if verdict.n_plates:
        plates = count(sum(verdict.n_plates.values()), "plate")
        of = f" of {plates} that {'was' if plates == '1 plate' else 'were'} not trained on"
    elif verdict.n_wells:
        of = f" of {count(verdict.n_wells, 'well')}"
    return f" on {verdict.n_validation:,} validation {kind}{of}"


def name_best(verdict: Verdict) -> list[str]:
    """Name the best configuration, its intervals, its chance and its seeds."""
    best, goal = verdict.best, verdict.goal
    if best.value is None or best.estimate is None:
        return ["No run has logged an epoch yet."]
    line = f"The best is {name_row(best)} with {show_value(best.value, goal.metric)}"
    line += f" (epoch {best.best_epoch}" if best.n_runs == 1 else f" (mean of {best.n_runs} seeds"
    if best.interval is not None:
        method = best.interval.method
        over = f"over {method}" if method in CLUSTERED else "cells taken as independent"
        line += f"; {name_interval(best.interval, goal.metric)}, {over}"
    line += ")"
    naive = best.estimate.naive
    if naive is not None and best.interval is not None and best.interval.method in CLUSTERED:
        line += f"; taking cells as independent it would be {name_ends(naive, goal.metric)}"
    lines = [line + "."]
    if best.trouble is not None:
        lines.append(f"But it {best.trouble.text}.")
    if best.probability is not None:
        lines.append(
            f"The chance that its true {goal.metric.words} is {name_target(goal)} is "
            f"{name_chance(best.probability)}."
        )
    if best.replicates is not None:
        spread = show_spread(best.replicates.spread, goal.metric)
        lines.append(f"Its {best.replicates.n} seeds spread by {spread} (standard deviation).")
    return lines


def name_basis(verdict: Verdict) -> list[str]:
    """Say what the intervals rest on, where that is less than many wells."""
    methods = {row.interval.method for row in verdict.rows if row.interval is not None}
    lines = []
    if methods - set(CLUSTERED):
        rows = "Some" if methods & set(CLUSTERED) else "These"
        lines.append(
            f"{rows} intervals take cells as independent, for no predictions were kept (running or "
            "older runs); cells of a well are alike, so they are narrower than they should be."
        )
    if "wells" in methods and verdict.n_wells is not None and verdict.n_wells < FEW_WELLS:
        lines.append(
            f"Only {count(verdict.n_wells, 'well')} to go by: how much wells "
            "differ is itself barely known, so take the intervals as rough."
        )
    return lines + _name_plates(verdict)


def _name_plates(verdict: Verdict) -> list[str]:
    """Say how few plates were held out, and what then is not known."""
    fewest = min((verdict.n_plates or {}).values(), default=FEW_PLATES)
    if fewest >= FEW_PLATES:
        return []
    listed = " and ".join(
        f"{count(n, 'plate')} of {particle}" for particle, n in (verdict.n_plates or {}).items()
    )
    if fewest == 1:
        return [
            f"Only {listed} held out: how much plates differ is not known from one, so the "
            "intervals are over wells and hold for these plates alone. Sweep `split` over all "
            "folds, as plate-fold-1-of-3 to plate-fold-3-of-3, to hold each plate out once."
        ]
    return [
        f"Only {listed} held out: how much plates differ is itself barely known below "
        f"{FEW_PLATES} of each, so take the intervals as rough."
    ]


def count(n: int, noun: str) -> str:
    """Write a number with its noun: "1 well", "16 wells"."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def name_goal(goal: Goal) -> str:
    """Name what is to be reached: "80 % validation accuracy"."""
    if goal.metric is ACCURACY:
        return f"{name_share(goal.target)} validation accuracy"
    return f"a validation {goal.metric.words} of {name_target(goal)}"


def name_target(goal: Goal) -> str:
    """Name the side of the target that is good: "at least 80 %", "at most 0.2"."""
    side = "at least" if goal.metric.higher_is_better else "at most"
    return f"{side} {name_share(goal.target) if goal.metric is ACCURACY else f'{goal.target:g}'}"


def name_row(row: Row) -> str:
    """Name a configuration by its swept values."""
    return list_values(row.swept) or row.run.name


def name_interval(interval: Interval, metric: Metric) -> str:
    """Name an interval: "95 % interval 82.2% to 86.2%"."""
    return f"{name_share(interval.level)} interval {name_ends(interval, metric)}"


def name_ends(interval: Interval, metric: Metric) -> str:
    """Name an interval's ends: "82.2% to 86.2%"."""
    return f"{show_value(interval.low, metric)} to {show_value(interval.high, metric)}"
