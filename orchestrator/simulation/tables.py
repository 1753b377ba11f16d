"""What `knowlip simulate` prints."""

from itertools import pairwise

from rich.console import Console
from rich.table import Table

from orchestrator.report.tables import titled_table
from orchestrator.simulation.hardware import TRAINER
from orchestrator.simulation.simulate import Simulation
from orchestrator.simulation.timeline import Span, usage
from orchestrator.state.records import PHASES

_WIDTH = 48  # characters of the bar that stands for the whole run
_LETTERS = {"startup": ".", "train": "T", "publish": "p", "score": "s", "label": "L", "refresh": "r", "evaluate": "e"}


def print_simulation(found: Simulation, console: Console, measured_s: float | None = None) -> None:
    """Print the timeline, how much each kind of process works, and the cost.

    Args:
        found: The simulated run.
        console: Where it is printed.
        measured_s: Seconds of the run that the costs come from; None: they were stated.
    """
    hardware, plain = found.hardware, found.as_json()
    console.print(
        f"{hardware.nodes} x {hardware.cpus:g} CPUs and {hardware.gpus:g} GPUs, {hardware.cores:g} cores in all; "
        f"{found.crew.count(TRAINER)} training workers",
        highlight=False,
    )
    console.print(_rounds(found))
    for spans in _lanes(found.spans):
        console.print(f"|{_bar(spans, found.total_s)}|", highlight=False, markup=False)
    console.print(" ".join(f"{letter} {phase}" for phase, letter in _LETTERS.items()), highlight=False, style="dim")
    if found.end is not None:
        console.print(f"The schedule ends the run: {found.end}.", highlight=False)
    console.print(_processes(found))
    console.print(
        f"{found.total_s:.0f} s; {plain['cpu_hours_held']:.2f} CPU hours held, {plain['cpu_hours_used']:.2f} used; "
        f"{plain['gpu_hours_held']:.2f} GPU hours held; {plain['core_utilisation']:.0%} of the cores busy.",
        highlight=False,
    )
    if measured_s is not None:
        console.print(
            f"The run that the costs come from took {measured_s:.0f} s ({found.total_s / measured_s - 1:+.1%}).",
            highlight=False,
        )


def _rounds(found: Simulation) -> Table:
    table = titled_table("Seconds by phase", "round", "begins", "startup", *PHASES, "total")
    begin = 0.0
    for number, seconds in found.round_s.items():
        spans = [span for span in found.spans if max(span.round, 1) == number]
        phases = (sum(span.seconds for span in spans if span.phase == name) for name in ("startup", *PHASES))
        table.add_row(str(number), f"{begin:.0f}", *(f"{phase:.1f}" for phase in phases), f"{seconds:.0f}")
        begin += seconds
    return table


def _lanes(spans: tuple[Span, ...]) -> list[list[Span]]:
    """The phases as one line; as two, the trainings and the others, where trainings go on beside others."""
    if all(earlier.end_s < later.begin_s + 1e-6 for earlier, later in pairwise(spans)):
        return [list(spans)]
    return [[span for span in spans if (span.phase == "train") is trains] for trains in (True, False)]


def _bar(spans: list[Span], total_s: float) -> str:
    """Phases as one line: at each place the letter of the one that is under way there, or a blank."""
    step = total_s / _WIDTH
    return "".join(_letter(spans, (place + 0.5) * step) for place in range(_WIDTH))


def _letter(spans: list[Span], second: float) -> str:
    return next((_LETTERS[span.phase] for span in spans if span.begin_s <= second < span.end_s), " ")


def _processes(found: Simulation) -> Table:
    headings = ("number", "CPUs", "GPUs", "works s", "waits s", "busy", "idle CPU h", "idle GPU h")
    table = titled_table("Processes that are held for the whole run", "process", *headings)
    for each in usage(found.spans, found.crew):
        table.add_row(
            each.name,
            str(each.count),
            f"{each.cpus:g}",
            f"{each.gpus:g}",
            f"{each.busy_s:.0f}",
            f"{each.idle_s:.0f}",
            f"{each.utilisation:.0%}",
            f"{each.idle_cpu_hours:.2f}",
            f"{each.idle_gpu_hours:.2f}",
        )
    return table
