"""The disk that Ray's object store spills to fills up, under a run whose corpus does not fit into that store."""

from dataclasses import replace
from pathlib import Path

from chaos.compare import compare
from chaos.driver import ChaosError
from chaos.full_disk import fill_and_resume
from chaos.injection import Outcome
from chaos.reference import Reference
from chaos.run import new_folder, run_with_faults
from support.mounts import mount, unmount

PHASE = "score"
"""At whose start the disk is filled. What only takes blocks may still find room in the store; refresh, which makes the
next round's, cannot."""
LARGE_TILES = (
    "corpus.simulated.tiles=64",
    "corpus.simulated.tile_size_pixels=512",
    "corpus.rows_per_block=8",
    *(
        f"model.{part}.vision.{key}"
        for part in ("encoder", "captioner")
        for key in ("image_size_px=512", "stem_strides=[16,2,2]")
    ),
)
"""64 MiB of images, and nearly as much of shuffled blocks, in a model that costs no more."""
SMALL_STORE = "cluster.object_store_memory_gib=0.08"
"""Hardly more than the least that Ray takes."""
SPILL_BYTES = 640 * 2**20
"""The run spills up to 372 MiB, and Ray fills a disk up to 95 % and no further."""


def run_without_room_to_spill(reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run that spills, and from a phase of round 2 on cannot. It is compared with one of the same corpus that never
    spills, so that spilling is seen to change nothing either."""
    outcome = Outcome(new_folder(folder) / "run")
    spill = folder / "spill"
    spill.mkdir()
    outcome.not_possible = mount(spill, SPILL_BYTES)
    if outcome.not_possible is not None:
        return outcome
    try:
        undisturbed = _undisturbed(replace(reference, settings=(*reference.settings, *LARGE_TILES)), folder)
        small_store = (*undisturbed.settings, SMALL_STORE, f"cluster.spill_dir={spill.resolve()}")
        fill_and_resume(
            outcome, outcome.run_dir, replace(undisturbed, settings=small_store), PHASE, spill, named=spill.resolve()
        )
        if outcome.finished:
            outcome.found = compare(outcome.run_dir, undisturbed.run_dir)
    finally:
        unmount(spill)
    return outcome


def _undisturbed(reference: Reference, folder: Path) -> Reference:
    outcome = run_with_faults(reference.config, folder / "undisturbed", reference.settings)
    if not outcome.finished or outcome.complaints:
        raise ChaosError(f"the undisturbed run of large tiles failed; see {outcome.run_dir.parent}")
    return Reference(reference.config, reference.settings, outcome.run_dir, outcome.seconds)
