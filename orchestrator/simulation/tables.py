"""What `knowlip simulate` prints."""

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
    console.print(f"|{_bar(found)}|", highlight=False, markup=False)
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


def _bar(found: Simulation) -> str:
    """The whole run as one line: at each place the letter of the phase that is under way there."""
    step = found.total_s / _WIDTH
    return "".join(_LETTERS[_at(found.spans, (place + 0.5) * step).phase] for place in range(_WIDTH))


def _at(spans: tuple[Span, ...], second: float) -> Span:
    return next((span for span in spans if span.end_s > second), spans[-1])


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
