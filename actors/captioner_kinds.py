"""Chooses the captioner that a configuration names. All kinds have publish, request, submit and shutdown."""

from pathlib import Path

import pyarrow as pa

from actors.captioner import CaptionerClient, CaptionerConfig
from actors.endpoint_captioner import EndpointCaptioner
from hcot_llm.endpoint import Endpoint

Captioner = CaptionerClient | EndpointCaptioner


def make_captioner(config: CaptionerConfig, weights_dir: Path, tiles: pa.Table, corpus_dir: Path) -> Captioner:
    """Start the captioner. weights_dir: what the native one starts from; tiles: of the corpus in `corpus_dir`."""
    if config.kind == "endpoint":
        return EndpointCaptioner(config, tiles, corpus_dir)
    return CaptionerClient(config, weights_dir)


def check_captioner(config: CaptionerConfig) -> None:
    """Before anything starts: does the endpoint answer, take the key and have the model?

    Raises:
        hcot_llm.endpoint.EndpointFailed: it does not.
    """
    if config.kind == "endpoint":
        Endpoint(config.endpoint.model_copy(update={"patience_s": min(30.0, config.endpoint.patience_s)})).check()
