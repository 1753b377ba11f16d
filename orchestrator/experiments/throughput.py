"""`knowlip throughput`: the numbers a run is held to, measured as ratios within one run."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import ray
from rich.console import Console
from rich.table import Table

from actors.captioner.labelling import make_request, write_questions
from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.native_replica import NativeCaptioner
from actors.data.image_index import ImageIndex
from actors.scorer.pool import ScorerPool
from corpus.storage.errors import ConfigError
from orchestrator.cluster.connect import start_cluster
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.data.annotation_history import open_corpus
from orchestrator.data.prepare import prepare_corpus
from orchestrator.report.summary import report
from orchestrator.start import start_run
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory

REPEATS = 3


def measure_throughput(config: Path, run_dir: Path | None, console: Console) -> None:
    """Run the loop (or take a finished run) and print its numbers beside the goals.

    Raises:
        ConfigError: the run's captioner is not the native one.
    """
    if run_dir is None:
        begun = time.monotonic()
        run_dir = start_run(load_config(config), None, console)
        console.print(f"wall time of the whole command {time.monotonic() - begun:.0f} s", highlight=False)
    directory, settings = RunDirectory.open(run_dir)
    if not isinstance(settings.captioner, NativeCaptionerConfig):
        raise ConfigError(
            f"knowlip throughput compares Ray Serve with the bare engine of the native captioner; {run_dir} has "
            "a captioner of another kind. Give a run of the native one."
        )
    speed = throughput(directory, settings, settings.captioner)
    found, records = report(run_dir), read_records(directory.path)
    table = Table("number", "measured", "goal", box=None, header_style="bold")
    total = sum(record.timings.total_s for record in records)
    unaccounted = max(abs(record.timings.unaccounted_s) / record.timings.total_s for record in records)
    rows = [
        ("rounds", f"{len(records)}", "at least 3"),
        ("tiles", f"{settings.corpus.simulated.tiles:,}", "at least 1,024"),
        ("time of all rounds, start-up included", f"{total / 60:.1f} min", "at most 12 min on 2 cores"),
        ("peak memory of all processes", f"{(found['peak_rss_bytes'] or 0) / 2**30:.1f} GiB", "under 12 GB"),
        ("annotation accuracy, seed", _share(found["seed_accuracy"]), "about 0.80"),
        ("annotation accuracy, last round", _share(found["final_accuracy"]), "at least 0.90"),
        ("largest unaccounted share of a round", f"{unaccounted:.2%}", "at most 5 %"),
        ("start-up after the first round", f"{sum(r.timings.startup_s for r in records[1:]):.1f} s", "0 s"),
        ("captioner, tokens/s through Ray Serve", f"{speed.tokens / speed.serve_s:,.0f}", ""),
        ("captioner, tokens/s of the bare engine", f"{speed.tokens / speed.direct_s:,.0f}", ""),
        ("Ray Serve against the bare engine", f"{speed.direct_s / speed.serve_s:.2f}", "at least 0.90"),
        ("the same, the bare engine given its embeddings", f"{speed.generate_s / speed.serve_s:.2f}", ""),
        (f"scoring, {settings.score.max_workers} actors against one", f"{speed.score_alone_s / speed.score_s:.2f}", ""),
    ]
    for row in rows:
        table.add_row(*row)
    console.print(table)


@dataclass(frozen=True)
class Throughput:
    """Seconds for the same work done in several ways; of the captioner's the median of several repeats.

    Attributes:
        serve_s: prompts answered through Ray Serve.
        direct_s: the same prompts by the bare engine, from images and texts to answers.
        generate_s: the bare engine's generation alone, its embeddings given.
        tokens: tokens generated.
        score_s: tiles scored with as many actors as configured.
        score_alone_s: the same tiles scored with one actor.
    """

    serve_s: float
    direct_s: float
    generate_s: float
    tokens: float
    score_s: float
    score_alone_s: float


def throughput(directory: RunDirectory, config: RunConfig, captioner: NativeCaptionerConfig) -> Throughput:
    """Measure captioner and scorer with a run's last weights; Ray Serve and the bare engine take turns."""
    prepared = prepare_corpus(config.corpus, config.annotation_schema, run_seed=config.seed)
    records = read_records(directory.path)
    last = records[-1]
    start_cluster(config)
    try:
        weights = directory.weights(last.round)
        client = NativeCaptioner(captioner, weights)
        corpus = open_corpus(config, directory, prepared, records)
        alone = config.score.model_copy(update={"min_workers": 1, "max_workers": 1})
        together = config.score.model_copy(update={"min_workers": config.score.max_workers})
        timed = []
        for workers in (alone, together):
            pool = ScorerPool(workers)
            score = partial(pool.score, corpus.images, corpus.annotations, weights, seed=config.seed)
            score(leave_one_out=False)  # the first time also starts, imports and loads
            timed.append(_timed(partial(score, leave_one_out=config.flag.leave_one_out)))
        (_, score_alone_s), (scores, score_s) = timed
        asked = np.random.default_rng(0).random(corpus.annotations.values.shape) < 0.4
        questions = write_questions(
            asked,
            corpus.annotations,
            scores.feedback,
            prepared.knowledge,
            prepared.gsd_m,
            run_seed=config.seed,
            round_=last.round,
            use_feedback=True,
            levels=True,
        )
        client.publish(weights, last.weights_sha256)
        size = captioner.tiles_per_shard
        images = ImageIndex.of(corpus.images)
        requests = [
            make_request(questions[start : start + size], client, images) for start in range(0, len(questions), size)
        ]
        served, direct, generated, tokens = [], [], [], 0.0
        for _ in range(REPEATS):
            begun = time.perf_counter()
            for response in [client.submit(request) for request in requests]:
                response.result()
            served.append(time.perf_counter() - begun)
            bare = client.label_directly(requests)
            direct.append(bare["seconds"])
            generated.append(bare["seconds"] - bare["embedding_seconds"])
            tokens = bare["tokens"]
        client.shutdown()
        return Throughput(
            float(np.median(served)),
            float(np.median(direct)),
            float(np.median(generated)),
            tokens,
            score_s,
            score_alone_s,
        )
    finally:
        ray.shutdown()


def _timed(function, *arguments):
    begun = time.perf_counter()
    return function(*arguments), time.perf_counter() - begun


def _share(value: float | None) -> str:
    return "no truth" if value is None else f"{value:.4f}"
