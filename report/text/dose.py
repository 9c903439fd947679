"""The score over dose and hours, in sentences."""

from bpsweep.report.statistics.dose import LEVEL, DoseResponse, Trend


def explain_dose(found: DoseResponse) -> list[str]:
    """Say whether the score rises with dose, within each particle too, and falls with hours."""
    parts = []
    for particle, trend in found.particles.items():
        steps = [(dose, mean) for (of, dose), mean in found.means.items() if of == particle]
        listed = ", ".join(f"{mean:.2f} at {dose:g} Gy" for dose, mean in steps)
        parts.append(f"{particle} {listed} (p {_name_probability(trend.probability)})")
    says = "rises with dose" if found.rises else "is not shown to rise with dose"
    together = "no hour has plates of both at two doses"
    if found.doses is not None:
        levels = ", ".join(f"{level:.2f}" for level in found.levels)
        together = (
            f"both together, in pairs of plates of one hour and dose level, {levels} "
            f"({_name_test(found.doses, 'doses', 'pairs')})"
        )
    lines = [
        f"On plates that it was not trained on, the probability of a cell's own particle {says}: "
        f"{'; '.join(parts)}; {together}."
    ]
    if found.doses is None or found.doses.n_ways * LEVEL < 1:
        lines.append(
            "There are too few plates for that to be shown whatever the score: images of more "
            "doses and hours are needed."
        )
    if found.hours is not None:
        falls = found.hours.strength > 0 and found.hours.probability < LEVEL
        lines.append(
            f"Over the hours after irradiation it {'falls' if falls else 'is not shown to fall'}, "
            f"as repair of foci would let it ({_name_test(found.hours, 'hours', 'plates')})."
        )
    return lines


def _name_test(trend: Trend, what: str, among: str) -> str:
    ways = f"all {trend.n_ways:,}" if trend.is_exact else f"{trend.n_ways:,} drawn"
    return (
        f"one-sided p {_name_probability(trend.probability)} over {ways} orders of {what} among "
        f"{among}"
    )


def _name_probability(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
