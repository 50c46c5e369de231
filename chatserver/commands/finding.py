"""What one check of `chatserver doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    check: str
    found: str
    #: What to do about it; empty when all is well.
    remedy: str = ""

    @property
    def good(self) -> bool:
        return not self.remedy
