"""The page's section on dose: the score of every well, on plates that were not trained on."""

from bpsweep.report.figures.dose import draw_dose
from bpsweep.report.page.sections import Missing, Section
from bpsweep.report.statistics.dose import DoseResponse
from bpsweep.report.statistics.verdict import Verdict
from bpsweep.report.text.dose import explain_dose


def build_dose(verdict: Verdict, found: DoseResponse | None) -> Section:
    """Build the response to dose, or say how to get it."""
    title = "Does the score rise with dose?"
    if found is None:
        missing = Missing(
            "The best configuration was not applied to plates of other doses.",
            f"bpsweep dose {verdict.sweep.path}",
        )
        return Section("dose", title, missing=[missing])
    return Section(
        "dose", title, lines=explain_dose(found), figures=[draw_dose(found, verdict.synthetic)]
    )
