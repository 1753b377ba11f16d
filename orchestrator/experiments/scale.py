"""`knowlip scale`: how time and memory of a round's data path grow with the corpus, and what a large one would take."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from corpus.storage.errors import ConfigError, UserError
from corpus.storage.state_files import read_json, write_json
from corpus.storage.writer import UNGUARDED
from orchestrator.experiments.scale_path import AS_WORKER, ON_WORKERS, PHASES, PathReport
from orchestrator.report.plots import save

FITTED_FROM = 4000
"""Sizes from which exponents are fitted, where two of them are measured: smaller ones show what a call costs."""
PLAN_TILES, PLAN_NODES, PLAN_CPUS = 1_200_000, 64, 16


class ScaleFailed(UserError):
    """A size could not be measured; the message has the end of what its process said."""


def measure_scale(sizes: Sequence[int], out: Path, console: Console) -> None:
    """Measure sizes, each in a process of its own, and write table, plan and plot of all that `out` holds by then.

    Args:
        sizes: Numbers of tiles. A size that was measured before is measured anew.
        out: Folder of tiles-N.json, scale.md and scale.png.
        console: for progress and the table.

    Raises:
        ConfigError: A size is too small to be measured.
        ScaleFailed: A process failed, for want of memory perhaps.
    """
    if too_small := [size for size in sizes if size < 64]:
        raise ConfigError(f"--sizes {too_small[0]}: a corpus of less than 64 tiles shows nothing. Name larger ones.")
    out.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        console.print(f"{size:,} tiles", highlight=False)
        write_json(out, out / f"tiles-{size}.json", _measured(size))
    reports = read_reports(out)
    text = f"{table_of(reports)}\n\n{plan_of(reports)}\n"
    UNGUARDED.write_text(out / "scale.md", text)
    save(plot_of(reports), out / "scale.png")
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _measured(size: int) -> PathReport:
    module = "orchestrator.experiments.scale_path"
    done = subprocess.run([sys.executable, "-m", module, str(size)], capture_output=True, text=True)
    if done.returncode:
        raise ScaleFailed(
            f"{size:,} tiles could not be measured (exit status {done.returncode}): {done.stderr[-2000:].strip()}. "
            "Sizes measured before are kept; name smaller ones, or give more memory."
        )
    return PathReport.model_validate_json(done.stdout)


def read_reports(out: Path) -> list[PathReport]:
    """The sizes measured in a folder, the smallest first."""
    found = [read_json(out, path, PathReport, "measure that size anew") for path in out.glob("tiles-*.json")]
    return sorted(found, key=lambda report: report.tiles)


def exponent(tiles: Sequence[int], cpu_s: Sequence[float]) -> tuple[float, float] | None:
    """Fit seconds = scale x tiles ** exponent by least squares of the logarithms.

    Returns:
        (exponent, scale); None where fewer than two sizes are there.
    """
    pairs = list(zip(tiles, cpu_s, strict=True))
    large = [pair for pair in pairs if pair[0] >= FITTED_FROM]
    chosen = large if len(large) > 1 else pairs
    if len(chosen) < 2:
        return None
    slope, start = np.polyfit(np.log([size for size, _ in chosen]), np.log([max(each, 1e-4) for _, each in chosen]), 1)
    return float(slope), float(np.exp(start))


def _fit(reports: Sequence[PathReport], phase: str) -> tuple[float, float] | None:
    return exponent([report.tiles for report in reports], [report.phases[phase].all_cpu_s for report in reports])


def table_of(reports: Sequence[PathReport]) -> str:
    """CPU seconds and exponents by phase, and the memory of the process, in Markdown."""
    heads = ["phase", "where", *(f"{report.tiles:,}" for report in reports), "exponent"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for phase in PHASES:
        fit = _fit(reports, phase)
        where = "workers" if phase in ON_WORKERS else "driver"
        cells = [phase, where, *(f"{report.phases[phase].all_cpu_s:.2f}" for report in reports)]
        lines.append(f"| {' | '.join([*cells, '' if fit is None else f'{fit[0]:.2f}'])} |")
    alone = ["CPU seconds of the driver in all", "driver", *(f"{_driver_cpu_s(report):.2f}" for report in reports), ""]
    lines.append(f"| {' | '.join(alone)} |")
    memory = ["peak memory of the driver's phases, MiB", "driver", *(f"{_peak_mib(report):.0f}" for report in reports)]
    lines.append(f"| {' | '.join([*memory, ''])} |")
    against = ["commit and read, times raw pyarrow", "driver"]
    against += [f"{_cpu_s(report, ('commit', 'read')) / max(report.raw_cpu_s, 1e-9):.1f}" for report in reports]
    lines.append(f"| {' | '.join([*against, ''])} |")
    found = ["" if each.neighbour_recall is None else f"{each.neighbour_recall:.3f}" for each in reports]
    lines.append(f"| {' | '.join(['share of the nearest tiles found, where not all', 'workers', *found, ''])} |")
    return "\n".join(lines)


def plan_of(reports: Sequence[PathReport]) -> str:
    """What a round of PLAN_TILES tiles would take on PLAN_NODES nodes, derived from the fits."""
    if (fits := {phase: _fit(reports, phase) for phase in PHASES}) and None in fits.values():
        return "Measure two sizes at least for a plan."
    at_scale = {phase: scale * PLAN_TILES**slope for phase, (slope, scale) in _known(fits).items()}
    # What the driver hands out and sums up is as large a part of a phase as in the largest corpus measured.
    of_driver = {name: each.cpu_s / max(each.all_cpu_s, 1e-9) for name, each in reports[-1].phases.items()}
    on_driver = sum(seconds * of_driver[phase] for phase, seconds in at_scale.items())
    on_workers = sum(at_scale.values()) - on_driver
    each_mib, base_mib = np.polyfit([r.tiles for r in reports], [_peak_mib(r) for r in reports], 1)
    largest = sorted(at_scale, key=lambda phase: -at_scale[phase])[:3]
    return (
        f"At {PLAN_TILES:,} tiles and one round, by these fits: {on_driver / 60:.0f} CPU minutes in the driver, "
        f"{on_workers / 3600:.1f} CPU hours on the workers, which are {on_workers / PLAN_NODES / PLAN_CPUS / 60:.1f} "
        f"minutes on {PLAN_NODES} nodes of {PLAN_CPUS} CPUs, and {(base_mib + each_mib * PLAN_TILES) / 1024:.1f} GiB "
        f"of memory of the driver. The largest phases: "
        f"{', '.join(f'{phase} {at_scale[phase] / 60:.1f} CPU minutes' for phase in largest)}."
    )


def _known(fits: dict[str, tuple[float, float] | None]) -> dict[str, tuple[float, float]]:
    return {phase: fit for phase, fit in fits.items() if fit is not None}


def _peak_mib(report: PathReport) -> float:
    return max(each.peak_mib for phase, each in report.phases.items() if phase != AS_WORKER)


def _driver_cpu_s(report: PathReport) -> float:
    return sum(each.cpu_s for each in report.phases.values())


def _cpu_s(report: PathReport, phases: Sequence[str]) -> float:
    return sum(report.phases[phase].cpu_s for phase in phases)


def plot_of(reports: Sequence[PathReport]) -> Figure:
    """CPU seconds of each phase over the number of tiles, both as logarithms."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    tiles = [report.tiles for report in reports]
    for phase in PHASES:
        seconds = [max(report.phases[phase].all_cpu_s, 1e-3) for report in reports]
        axes.loglog(tiles, seconds, marker="o", markersize=4, label=phase)
    axes.set(xlabel="tiles", ylabel="CPU seconds", title="A round's data path")
    axes.legend(fontsize=8, ncols=2)
    return figure
