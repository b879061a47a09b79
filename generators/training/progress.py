"""How a long computation of this package reports: a caller that wants to hear it overrides these methods."""


class Progress:
    """What is reported along the way; this one is silent."""

    def say(self, line: str) -> None:
        """Report one line of text."""

    def advance(self, unit: str, done: int, total: int, note: str) -> None:
        """Report that ``done`` of ``total`` steps called ``unit`` are finished, with a note such as the loss."""

    def spend(self, minutes: float, total: float, note: str) -> None:
        """Report that ``minutes`` of a budget of ``total`` are spent."""
