"""The report: medians over the rounds, as JSON, Markdown, a plot, and a table on standard output."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

import django

from .bench import Measurement
from .limits import LIMITS
from .plot import draw
from .targets import Verdict, verdicts

#: The number of cores busy with unrelated processes above which a figure is doubtful.
NOISE = 0.35


@dataclass
class Rounds:
    """All measurements in their order."""

    machine: dict[str, Any]
    limits: dict[str, list[float]] = field(default_factory=dict)
    measurements: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)

    def add_limits(self, limits: Mapping[str, float]) -> None:
        for name, value in limits.items():
            self.limits.setdefault(name, []).append(value)

    def add(self, configuration: str, work: str, measurement: Measurement) -> None:
        self.measurements.setdefault(configuration, {}).setdefault(work, []).append(measurement)


def machine(postgresql: str, filesystem: str) -> dict[str, Any]:
    """Describe the machine, so that figures can be compared."""
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu_count": cores,
        "architecture": platform.machine(),
        "system": platform.system() + " " + platform.release(),
        "filesystem": filesystem,
        "python": platform.python_version(),
        "postgresql": postgresql,
        "django": django.get_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def figure(rounds: Sequence[Measurement]) -> dict[str, Any]:
    """Return the medians of one workload's rounds. Milliseconds and microseconds are per operation."""

    def middle(of: Callable[[Measurement], float]) -> float:
        return float(f"{median(of(measurement) for measurement in rounds):.5g}")

    outcomes = [measurement.outcome for measurement in rounds]
    return {
        "rate": middle(lambda one: one.outcome.rate),
        "megabytes_per_second": middle(lambda one: one.outcome.megabytes_per_second),
        "p50_ms": middle(lambda one: one.outcome.p50 * 1e3),
        "p99_ms": middle(lambda one: one.outcome.p99 * 1e3),
        "server_cpu_ms": middle(lambda one: one.server_cpu * 1e3 / max(1, one.outcome.operations)),
        "client_cpu_us": middle(lambda one: one.outcome.client_cpu * 1e6 / max(1, one.outcome.operations)),
        "other_cores": middle(lambda one: one.other_cores),
        "operations": sum(outcome.operations for outcome in outcomes),
        "errors": sum(outcome.errors for outcome in outcomes),
        "first_error": next((outcome.first_error for outcome in outcomes if outcome.errors), ""),
        "rates": [float(f"{outcome.rate:.5g}") for outcome in outcomes],
    }


def summary(rounds: Rounds) -> dict[str, Any]:
    """Return all figures, ready for JSON."""
    limits = {name: float(f"{median(values):.5g}") for name, values in rounds.limits.items()}
    figures = {
        configuration: {work: figure(measurements) for work, measurements in works.items()}
        for configuration, works in rounds.measurements.items()
    }
    return {
        "machine": rounds.machine,
        "limits": {
            name: {"value": value, "unit": LIMITS[name].unit, "title": LIMITS[name].title, "rounds": rounds.limits[name]}
            for name, value in limits.items()
        },
        "figures": figures,
        "targets": [_as_json(verdict) for verdict in verdicts(limits, figures)],
    }


def _as_json(verdict: Verdict) -> dict[str, Any]:
    target = verdict.target
    return {
        "work": target.work,
        "configuration": target.configuration,
        "limit": target.limit,
        "limit_value": verdict.limit,
        "measured": verdict.measured,
        "unit": verdict.unit,
        "ratio": verdict.ratio,
        "at_least": target.at_least,
        "aim": target.aim,
        "absolute": target.absolute,
        "met": verdict.met,
    }


def write(rounds: Rounds, directory: Path) -> str:
    """Write results.json, results.md and results.svg. Return the table for standard output."""
    results = summary(rounds)
    judged = verdicts({name: limit["value"] for name, limit in results["limits"].items()}, results["figures"])
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (directory / "results.md").write_text(_markdown(results, judged))
    (directory / "results.svg").write_text(draw(judged))
    tables = [_figures(results), [TARGET_COLUMNS, *_targets(judged)] if judged else []]
    return "\n\n".join(_aligned(table) for table in tables if table)


TARGET_COLUMNS = ["work", "limit", "measured", "ratio", "at least", "aim", "met"]


def _targets(judged: Iterable[Verdict]) -> list[list[str]]:
    rows = []
    for verdict in judged:
        target, unit = verdict.target, verdict.unit

        def goal(value: float | None, absolute: bool = target.absolute, unit: str = unit) -> str:
            if value is None:
                return "–"
            return with_unit(value, unit) if absolute else f"{value:.2f}"

        limit = f"{target.limit}: {with_unit(verdict.limit, unit)}" if verdict.limit else f"{target.limit}: –"
        ratio = f"{verdict.ratio:.2f}" if verdict.ratio is not None else "–"
        measured = with_unit(verdict.measured, unit)
        work = f"{target.work}, {target.configuration}"
        rows.append([work, limit, measured, ratio, goal(target.at_least), goal(target.aim), verdict.met])
    return rows


def _figures(results: Mapping[str, Any]) -> list[list[str]]:
    header = ["work", "configuration", "/s", "MB/s", "p50 ms", "p99 ms", "server CPU ms", "client CPU µs", "errors"]
    rows = [header]
    names = dict.fromkeys(work for works in results["figures"].values() for work in works)
    for work in names:
        for configuration, works in results["figures"].items():
            if (one := works.get(work)) is not None:
                mark = "~" if one["other_cores"] > NOISE else ""
                values = [one[name] for name in ("rate", "megabytes_per_second", "p50_ms", "p99_ms", "server_cpu_ms")]
                shown = [mark + short(values[0]), *(short(value) for value in values[1:])]
                rows.append([work, configuration, *shown, short(one["client_cpu_us"]), str(one["errors"])])
    return rows


def _markdown(results: Mapping[str, Any], judged: Sequence[Verdict]) -> str:
    about = results["machine"]
    lines = [
        "# Benchmark results",
        "",
        paragraph(
            f"Generated by `make bench` on {about['date'][:10]}: {about['cpu_count']} cores ({about['architecture']}),"
            f" {about['system']}, {about['filesystem']}, Python {about['python']}, PostgreSQL {about['postgresql']},"
            f" Django {about['django']}. Medians of {about['rounds']} rounds of {about['seconds']:g} seconds for each workload."
            " Client, server and database share the machine."
        ),
        "",
        paragraph(
            "Every write is on disk when it is acknowledged. A ratio is relative to what the machine can do without post3 in"
            " the same run."
        ),
    ]
    if judged:
        lines += ["", "## Targets", "", *_as_markdown(TARGET_COLUMNS, _targets(judged)), "", "![The targets](results.svg)"]
    header, *rows = _figures(results)
    lines += [
        "",
        "## All figures",
        "",
        paragraph(
            "CPU times are per operation; the server's include PostgreSQL's."
            f" `~`: unrelated processes kept more than {NOISE} cores busy."
        ),
        "",
        *_as_markdown(header, rows),
        "",
        "## Limits",
        "",
    ]
    limits = [[name, limit["title"], with_unit(limit["value"], limit["unit"])] for name, limit in results["limits"].items()]
    return "\n".join([*lines, *_as_markdown(["limit", "what is measured", "result"], limits)]) + "\n"


def _as_markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def paragraph(text: str) -> str:
    """Wrap prose for a Markdown page."""
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def short(value: float) -> str:
    """Return a figure with at least three digits: `1,234`, `56.7`, `0.123`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def with_unit(value: float, unit: str) -> str:
    return f"{short(value)}{'' if unit == '/s' else ' '}{unit}"
