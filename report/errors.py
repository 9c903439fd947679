"""What can be wrong with a question about a sweep."""


class ReportError(ValueError):
    """A sweep, or a question about it, that no verdict can be given on."""
