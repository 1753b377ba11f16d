"""Kinds of captioners in the configuration: those that come along, and one from outside."""

import pytest

from actors.captioner.registry import CAPTIONERS
from corpus.storage.errors import ConfigError
from hcot_llm.aggregation.label_noise import TRAINED, UNTRAINED
from hcot_llm.engines.native import EngineConfig
from orchestrator.config.load import load_config, load_saved_config, save_config
from orchestrator.config.reference import reference
from support.paths import ROOT
from support.plugins import forgotten_afterwards

SMOKE = ROOT / "configs" / "smoke.yaml"


@pytest.fixture
def toy():
    with forgotten_afterwards("support.toy_captioner", CAPTIONERS) as module:
        yield module


def captioner(*overrides: str):
    return load_config(SMOKE, list(overrides)).captioner


@pytest.mark.parametrize("kind", CAPTIONERS)
def test_every_kind_reads_its_own_name_and_the_common_settings(kind):
    assert captioner(f"captioner.kind={kind}", "captioner.tiles_per_shard=7").model_dump()["kind"] == kind


def test_each_kind_answers_for_itself():
    native, endpoint = captioner(), captioner("captioner.kind=endpoint", "captioner.endpoint.candidates=3")
    assert (native.candidates, native.prior, native.replicas.count) == (EngineConfig().candidates, TRAINED, 1)
    assert (endpoint.candidates, endpoint.prior, endpoint.replicas.count) == (3, UNTRAINED, 0)
    assert captioner("captioner.levels_in_prompt=false").corrections == 0
    assert (native.corrections, endpoint.corrections) == (1, 0), "a chain asks again by itself"
    assert captioner("captioner.max_replicas=3").shards_in_flight == 6


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["captioner.endpoint.url=http://a/v1"],
            "captioner.endpoint: endpoint is a setting of kind endpoint, and kind is",
        ),
        (
            ["captioner.kind=endpoint", "captioner.min_replicas=2"],
            "captioner.min_replicas: .* kind native and vision_lang",
        ),
        (
            ["captioner.kind=endpoints"],
            "captioner.kind: There is no captioner kind 'endpoints'; .*Did you mean 'endpoint'?",
        ),
        (["captioner.kind=[native]"], "captioner.kind: There is no captioner kind"),
        (["captioner=native"], "captioner: "),
        (["plugins=[no_such_plugin]"], "plugins: the plugin 'no_such_plugin' cannot be imported .*PYTHONPATH"),
        (["plugins=[../elsewhere]"], "plugins.0: "),
    ],
)
def test_what_no_kind_can_use_is_refused_by_name(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load_config(SMOKE, overrides)


def test_a_plugins_kind_is_read_checked_and_saved_like_the_others(toy, tmp_path):
    with pytest.raises(ConfigError, match="There is no captioner kind 'table'"):
        captioner("captioner.kind=table")
    config = load_config(SMOKE, [f"plugins=[{toy}]", "captioner.kind=table", f"captioner.table={tmp_path / 'a.json'}"])
    assert type(config.captioner).__name__ == "TableCaptionerConfig"
    with pytest.raises(Exception, match=r"captioner.table names .*a.json, which does not exist"):
        config.captioner.check()
    save_config(config, tmp_path / "config.yaml")
    again = load_saved_config(tmp_path / "config.yaml")
    assert (again.plugins, again.captioner) == ((toy,), config.captioner)
    assert ("captioner.table", "answers.json", "kind table: JSON file of values by tile and clause") in reference()
