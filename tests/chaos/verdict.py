"""What is to be said of a run that faults have struck."""

from dataclasses import dataclass

from chaos.compare import compare
from chaos.injection import Outcome
from chaos.reference import Reference


@dataclass(frozen=True)
class Verdict:
    """lost, duplicated: annotations, and rounds committed twice. equal: to the undisturbed run, bit for bit.
    notes: what is not as it should be, in words.
    """

    lost: int
    duplicated: int
    equal: bool
    notes: tuple[str, ...]


def judge(outcome: Outcome, reference: Reference, has_to_be_equal: bool = True) -> Verdict:
    """Compare a run with the undisturbed one, unless its injector has done so already."""
    notes, found = list(outcome.complaints), outcome.found
    if not outcome.finished:
        notes.append(f"did not finish, see {outcome.run_dir.parent}")
    if found is None:
        try:
            found = compare(outcome.run_dir, reference.run_dir)
        except Exception as error:  # a run that is damaged in whatever way is a result, and a bad one
            notes.append(f"cannot be compared: {type(error).__name__}: {error}")
    if has_to_be_equal and found is not None and found.different:
        notes.append(f"differs: {', '.join(found.different)}")
    if outcome.left_over:
        notes.append(f"{outcome.left_over} processes left over")
    return Verdict(
        lost=found.lost if found else 0,
        duplicated=found.duplicated + found.commits_twice if found else 0,
        equal=found is not None and not found.different,
        notes=tuple(notes),
    )
