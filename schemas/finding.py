"""One line of a doctor: ok, or not ok with what to do."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what was seen."""

    check: str
    ok: bool
    said: str
    do: str = ""

    def __str__(self) -> str:
        line = f"{'ok' if self.ok else 'not ok':<7} {self.check}: {self.said}"
        return line if self.ok or not self.do else f"{line}\n        {self.do}"

    def told(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)
