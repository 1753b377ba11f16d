"""What several test files share, made once a session: a small corpus, a trained captioner, one whole run."""

import os
import shutil
import signal
import sys

from support.hcot import HCOT
from support.ray_token import ask_for_token

# Before torch and vLLM are imported: on shared cores several threads wait for each other more than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
ask_for_token()
# Before gRPC is used for the first time, see `orchestrator.cluster.connect.leave_forks_alone`.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from support.made_once import made_once

if TYPE_CHECKING:
    from support.shared_run import Run
    from support.shared_training import CleanCorpus, TrainedCaptioner

HERE = Path(__file__).parent

# Cores are shared: how long one example takes says nothing.
hypothesis.settings.register_profile("knowlip", deadline=None)
hypothesis.settings.load_profile("knowlip")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by the folder it lies in: unit, integration or chaos."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(item.path.relative_to(HERE).parts[0])


@pytest.fixture
def call(monkeypatch, capsys):
    """call("status", run_dir): the command line in this process; returns (exit status, stdout, stderr)."""
    from orchestrator import cli

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["knowlip", *map(str, arguments)])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            with pytest.raises(SystemExit) as end:
                cli.main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return call


@pytest.fixture
def s3(monkeypatch):
    """A real S3 server with an empty bucket; this process has what it takes to use it in its environment."""
    from support.s3_server import s3_server

    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


# Fixtures import what they need: a test of the corpus does not wait for torch. What is made lies in a folder that
# processes share, and is read from there.


@pytest.fixture(scope="session")
def clean_corpus(tmp_path_factory) -> "CleanCorpus":
    """96 simulated tiles whose annotations are the truth."""
    from support.shared_training import make_clean_corpus

    return make_clean_corpus(made_once(tmp_path_factory, "clean", make_clean_corpus))


@pytest.fixture(scope="session")
def trained_captioner(clean_corpus, tmp_path_factory) -> "TrainedCaptioner":
    """Published weights of a model that learned one easy clause from the clean corpus."""
    from support.shared_training import load_trained, train_captioner

    return load_trained(made_once(tmp_path_factory, "trained", lambda folder: train_captioner(clean_corpus, folder)))


@pytest.fixture(scope="session")
def engine(trained_captioner):
    """A real vLLM engine in this process, on the trained captioner's decoder. Tests leave those weights in it."""
    from hcot_llm.engines.native import EngineConfig, NativeEngine

    return NativeEngine(trained_captioner.decoder_dir, EngineConfig(candidates=3), HCOT)


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory) -> "Run":
    """configs/smoke.yaml from the command line to its end, with truth. Nobody changes anything in its folder."""
    from support.shared_run import read_run, run_loop_once

    return read_run(made_once(tmp_path_factory, "smoke", lambda folder: run_loop_once(folder, folder / "data")))


@pytest.fixture(scope="session")
def blind_run(smoke_run, tmp_path_factory) -> "Run":
    """The same run with the truth removed once the data was made."""
    from support.shared_run import run_loop_once

    folder = tmp_path_factory.mktemp("blind")
    shutil.copytree(smoke_run.data_dir, folder / "data")
    [truth] = (folder / "data").glob("*/truth")
    shutil.rmtree(truth)
    return run_loop_once(folder, folder / "data")
