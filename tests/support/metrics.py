"""Samples of a Prometheus page."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a ``/metrics`` page said at one moment."""

    samples: tuple[Sample, ...]

    @classmethod
    def parse(cls, text: str) -> "Metrics":
        families = text_string_to_metric_families(text)
        return cls(tuple(sample for family in families for sample in family.samples))

    def value(self, name: str, **labels: str) -> float:
        """Sum the samples of *name* (as the page writes it) that have these labels; 0 if none."""
        return sum(each.value for each in self.samples if _has(each, name, labels))

    @property
    def series(self) -> int:
        """Count the samples."""
        return len(self.samples)


def _has(sample: Sample, name: str, labels: dict[str, str]) -> bool:
    return sample.name == name and labels.items() <= sample.labels.items()
