"""Goals for post3: a ratio to the limit of the work, or an absolute figure.

A ratio to a limit measured in the same run says more than a figure, because figures differ from machine to machine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .limits import LIMITS

BLOCKS, FILES = "postgresql-blocks", ("sqlite-files", "postgresql-files")


@dataclass(frozen=True, slots=True)
class Target:
    """A workload's goal. `at_least` and `aim` are ratios to the limit, or figures in its unit if `absolute`."""

    work: str
    configuration: str
    limit: str
    at_least: float
    aim: float | None
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and the measured figure. `ratio` is relative to the limit, like all ratios; None without a limit."""

    target: Target
    measured: float
    limit: float | None

    @property
    def unit(self) -> str:
        return LIMITS[self.target.limit].unit

    @property
    def ratio(self) -> float | None:
        return self.measured / self.limit if self.limit else None

    @property
    def met(self) -> str:
        """Return `aim`, `yes`, `no`, or `?` if there is nothing to compare with."""
        value = self.measured if self.target.absolute else self.ratio
        if value is None:
            return "?"
        if self.target.aim is not None and value >= self.target.aim:
            return "aim"
        return "yes" if value >= self.target.at_least else "no"

    def part(self, goal: float | None) -> float | None:
        """Return a goal as a ratio to the limit."""
        if goal is None or not self.target.absolute:
            return goal
        return goal / self.limit if self.limit else None


def _on_files(work: str, limit: str, at_least: float, aim: float | None, absolute: bool = False) -> Iterator[Target]:
    return (Target(work, configuration, limit, at_least, aim, absolute) for configuration in FILES)


TARGETS = (
    Target("get4k/8", BLOCKS, "select-4k/8", 0.15, 0.25),
    Target("head4k/8", BLOCKS, "select-4k/8", 0.20, 0.30),
    Target("put4k/8", BLOCKS, "insert-4k/8", 0.40, 0.55),
    *_on_files("put4k/8", "file-4k/8", 0.6, 1.0),
    Target("list-page/8", BLOCKS, "page/8", 200, 400, absolute=True),
    Target("list-delim/8", BLOCKS, "folders/1", 700, 2000, absolute=True),
    Target("put1m/8", BLOCKS, "insert-1m/8", 0.7, 0.9),
    Target("put64m/1", BLOCKS, "copy-64m/1", 0.7, 0.85),
    *_on_files("put64m/1", "md5", 350, None, absolute=True),
    *_on_files("put64m-unsigned/1", "md5", 450, None, absolute=True),
    Target("get64m/1", BLOCKS, "select-64m/1", 0.75, 0.9),
    *_on_files("get64m/1", "loopback", 0.45, 0.75),
    Target("range64k/8", BLOCKS, "substring-64k/1", 2000, 4000, absolute=True),
)


def verdicts(limits: Mapping[str, float], figures: Mapping[str, Mapping[str, Any]]) -> list[Verdict]:
    """Return a verdict on every target whose workload was measured, from the medians of `report.summary`."""
    result = []
    for target in TARGETS:
        figure = figures.get(target.configuration, {}).get(target.work)
        if figure is not None:
            measure = "rate" if LIMITS[target.limit].unit == "/s" else "megabytes_per_second"
            result.append(Verdict(target, figure[measure], limits.get(target.limit)))
    return result
