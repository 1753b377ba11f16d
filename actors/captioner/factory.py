"""Chooses the captioner that a configuration names. All kinds have publish, request, submit and shutdown."""

from pathlib import Path

import pyarrow as pa

from actors.captioner.endpoint import EndpointCaptioner
from actors.captioner.native import CaptionerClient, CaptionerConfig
from actors.captioner.vision_language import VisionLanguageCaptioner
from hcot_llm.engines.endpoint import Endpoint
from hcot_llm.engines.vision_language import check_model

Captioner = CaptionerClient | VisionLanguageCaptioner | EndpointCaptioner


def make_captioner(
    config: CaptionerConfig, weights_dir: Path, tiles: pa.Table, corpus_dir: Path, owner: str
) -> Captioner:
    """Start the captioner.

    weights_dir: what the native one starts from. tiles: of the corpus in `corpus_dir`. owner: the run whose it is.
    """
    if config.kind == "endpoint":
        return EndpointCaptioner(config, tiles, corpus_dir)
    if config.kind == "vision_language":
        return VisionLanguageCaptioner(config, tiles, corpus_dir, owner)
    return CaptionerClient(config, weights_dir, owner)


def check_captioner(config: CaptionerConfig) -> None:
    """Before anything starts: does the endpoint answer, take the key and have the model; is there a model to serve?

    Raises:
        hcot_llm.engines.endpoint.EndpointFailed, hcot_llm.engines.vision_language.VisionLanguageError: it does not; there is none.
    """
    if config.kind == "vision_language":
        check_model(config.vision_language)
    if config.kind == "endpoint":
        Endpoint(config.endpoint.model_copy(update={"patience_s": min(30.0, config.endpoint.patience_s)})).check()
