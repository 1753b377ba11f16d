"""`knowlip plan`: what each round of a run would do, by the schedule that runs it, and what the run needs at least."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cluster.requirements import most_processes, requirements
from orchestrator.config.schema import RunConfig
from orchestrator.policies.schedule import Phase, Schedule
from orchestrator.report.tables import titled_table

_FOLLOWS = {
    Phase.TRAIN: "nothing",
    Phase.FLAG: "flags; they leave the next targets",
    Phase.REFILL: "flags are written again and weighed",
}


def plan_as_json(config: RunConfig) -> dict[str, Any]:
    """The plan of a configuration.

    Returns:
        A dictionary with these keys:
            rounds: for each round its number, the fields of `RoundPlan`, peak_learning_rate, and trained_on: the round
                whose annotations it is trained on, 0 for the initial ones.
            trains_beside_labels: Whether a training goes on while other labels are written.
            models: Number of models that each round trains.
            ends_early_below: Share of accepted answers below which the run ends; None: never.
            ends_when_flat: After how many rounds that raised the held-out likelihood by less than how many nats a
                clause the run ends; None: never.
            processes: Of each kind of process its name, how many there are at least and at most, and CPUs and GPUs of
                one. On a cluster that runs share a run waits until there is room for the most.
    """
    schedule = Schedule(config.schedule, config.train, config.acceptance)
    rounds = []
    for number in range(1, config.rounds + 1):
        plan = schedule.plan(number)
        said = asdict(plan) | {
            "phase": int(plan.phase),
            "peak_learning_rate": config.train.peak_learning_rate(plan.from_scratch),
            "trained_on": schedule.trained_on(number),
        }
        rounds.append({"round": number} | said)
    return {
        "rounds": rounds,
        "trains_beside_labels": any(
            schedule.training_beside(number, fold, config.rounds) is not None
            for number in range(1, config.rounds + 1)
            for fold in range(schedule.folds)
        ),
        "models": schedule.folds,
        "ends_early_below": config.schedule.acceptance_floor,
        "ends_when_flat": None
        if config.schedule.flat_rounds is None
        else {"rounds": config.schedule.flat_rounds, "gain": config.schedule.flat_gain},
        "processes": [
            {
                "name": kind.name,
                "least": kind.count,
                "most": claimed.most,
                "cpus": kind.each.cpus,
                "gpus": kind.each.gpus,
            }
            for kind, claimed in zip(requirements(config), most_processes(config), strict=True)
        ],
    }


def print_plan(config: RunConfig, console: Console) -> None:
    """Print the plan as two tables."""
    found = plan_as_json(config)
    console.print(_rounds(found))
    if found["models"] > 1:
        console.print(f"Each round trains {found['models']} models, each without the tiles that it labels.")
    if found["trains_beside_labels"]:
        trained_on = ", ".join(str(each["trained_on"]) for each in found["rounds"])
        console.print(
            "A training goes on while the labels before it are written, on the same processes as otherwise. The rounds "
            f"are trained on the annotations of round {trained_on} (0: the initial ones).",
            highlight=False,
        )
    if found["ends_early_below"] is not None:
        console.print(f"The run ends after a round that accepted less than {found['ends_early_below']:.0%}.")
    if (flat := found["ends_when_flat"]) is not None:
        console.print(
            f"The run ends when {flat['rounds']} rounds have raised the held-out likelihood by less than "
            f"{flat['gain']:g} nats a clause.",
            highlight=False,
        )
    console.print(_processes(found))


def _rounds(found: dict[str, Any]) -> Table:
    table = titled_table(
        "Rounds",
        "round",
        "starts",
        "passes",
        "peak rate",
        "initial captions",
        "rare tiles",
        "written again, at most",
        "least margin",
    )
    table.add_column("what follows training")
    for each in found["rounds"]:
        writes = each["phase"] == Phase.REFILL
        table.add_row(
            str(each["round"]),
            "from scratch" if each["from_scratch"] else "warm",
            str(each["epochs"]),
            f"{each['peak_learning_rate']:g}",
            f"{each['initial_caption_share']:.0%}",
            f"x {each['rare_landform_factor']:g}",
            *((f"{each['regenerated_share']:.0%}", f"{each['acceptance_margin']:g}") if writes else ("-", "-")),
            _FOLLOWS[Phase(each["phase"])],
        )
    return table


def _processes(found: dict[str, Any]) -> Table:
    table = titled_table("Processes", "process", "at least", "at most", "CPUs each", "GPUs each")
    for kind in found["processes"]:
        table.add_row(kind["name"], str(kind["least"]), str(kind["most"]), f"{kind['cpus']:g}", f"{kind['gpus']:g}")
    return table
