"""Makes or opens the corpus of a run, and says what it is."""

from collections.abc import Mapping

from rich.console import Console

from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import INPUTS_FILE, check_scenes, read_inputs
from orchestrator.data.prepare import PreparedCorpus, open_again, prepare_corpus
from orchestrator.data.scenes import SceneState
from orchestrator.monitoring.progress import Progress
from orchestrator.state.durable import restored_corpus
from orchestrator.state.run_directory import RunDirectory


def make_data(config: RunConfig, console: Console, scenes: Mapping[str, SceneState] | None = None) -> PreparedCorpus:
    """Make or open the corpus, and say what it is.

    Args:
        config: Configuration of the run.
        console: Console that the user reads.
        scenes: see `prepare_corpus`.
    """
    with Progress(console) as progress:
        prepared = prepare_corpus(
            config.corpus, config.annotation_schema, run_seed=config.seed, progress=progress.preparing, scenes=scenes
        )
    kind = "simulated" if prepared.simulated else "real"
    console.print(
        f"corpus {prepared.corpus_dir}: {prepared.tiles.num_rows:,} {kind} tiles, {prepared.quarantined} quarantined",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if summary := prepared.scenes_summary:
        console.print(f"scenes: {summary}", highlight=False, soft_wrap=True, markup=False)
    if summary := prepared.initial_summary:
        console.print(summary, highlight=False, soft_wrap=True, markup=False)
    return prepared


def same_data(config: RunConfig, directory: RunDirectory, console: Console) -> PreparedCorpus:
    """Open the corpus of a run that goes on. Scenes that have changed are found and named before any is cut.

    Raises:
        CorpusError: they did.
    """
    if not (directory.path / INPUTS_FILE).exists():
        return make_data(config, console)  # it was interrupted before it began
    inputs = read_inputs(directory.path)
    if restored_corpus(directory.path):
        return open_again(inputs.corpus_dir, config.corpus, config.annotation_schema, inputs.scenes)
    with Progress(console) as progress:
        there = check_scenes(
            directory.path,
            inputs,
            config.corpus,
            lambda done, total: progress.preparing("comparing scenes", done, total),
        )
    prepared = make_data(config, console, inputs.scenes)
    if not there:
        console.print(
            f"There is no scene at {config.corpus.tiles} any more, so nothing was compared; the run goes on "
            "with the tiles that were cut before.",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    return prepared
