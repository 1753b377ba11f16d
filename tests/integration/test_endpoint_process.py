"""A process that has asked an endpoint ends when it is told to, whatever the endpoint does."""

import subprocess
import sys
import textwrap
import threading
import time

import pytest

from corpus.simulate.config import SceneConfig
from corpus.simulate.write import simulate_corpus
from support.chat_server import server
from support.paths import ROOT


@pytest.fixture(scope="module")
def corpus_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("endpoint")
    simulate_corpus(SceneConfig(tiles=3), root, workers=1)
    return root / "corpus"


@pytest.mark.parametrize("trouble", ["busy", "silent"])
def test_a_process_that_ends_waits_neither_for_an_answer_nor_for_patience(corpus_dir, trouble):
    over = threading.Event()

    def respond(body, headers):
        if trouble == "silent":
            over.wait(60)
        return 503, {"error": {"message": "busy"}}

    program = """
        import sys, time
        from pathlib import Path
        from actors.captioner.endpoint import EndpointCaptionerConfig
        from actors.captioner.endpoint_client import EndpointCaptioner
        from corpus.tiles import read_tiles
        from hcot_llm.engines.endpoint_config import EndpointConfig
        sys.path.insert(0, "tests")
        from support.shared_chain import question

        url, corpus_dir = sys.argv[1], Path(sys.argv[2])
        tiles = read_tiles(corpus_dir)
        captioner = EndpointCaptioner(EndpointCaptionerConfig(endpoint=EndpointConfig(url=url, model="m")),
                                      tiles, corpus_dir)
        captioner.submit(captioner.request([question(tile_id) for tile_id in tiles["tile_id"].to_pylist()], None, 0))
        sys.stdin.readline()
        captioner.shutdown()
        print("shut down", flush=True)
        """
    with server(respond) as (url, received):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), url, str(corpus_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            deadline = time.monotonic() + 120
            while len(received) < 3:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
            process.stdin.write("end\n")
            process.stdin.flush()
            assert process.stdout.readline() == "shut down\n"
            assert process.wait(20) == 0
        finally:
            process.kill()
            over.set()
