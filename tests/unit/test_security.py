"""Attacks that have to fail: code in files from elsewhere, paths that leave their folder, ports without a key.

More of them are tried beside what they attack:
- VRT, URLs, /vsi paths, GTIFF_DIR names, PNG named .tif, .aux.xml: test_geotiff.py; links and lists: test_ingest.py
- tiles.parquet with '..' and absolute paths: test_ingest.py; records behind links: test_records.py
- pickles logged to MLflow, other servers, secret-looking parameters: test_tracking.py
- answers of the captioner that are no known value: test_hcot_schema.py; foreign weights: test_engine.py
- the truth, which the loop must not read: test_truth.py; tokens and pods of the manifests: test_k8s.py
"""

import json
import os
import pickle
import re
import shutil
import sqlite3
import sys
import threading
import traceback
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from mlflow.exceptions import MlflowException
from safetensors.torch import save_file
from transformers import AutoConfig, AutoProcessor, AutoTokenizer

from actors.captioner.vision_language import VisionLanguageCaptionerConfig
from actors.trainer.safe_load import StateRefused, convert, weights_only
from actors.weights import copy_weights, create_weights
from corpus.annotation_rows import ANNOTATION_SCHEMA, AnnotationError
from corpus.annotations import AnnotationStore
from corpus.geotiff.read import read_backscatter
from corpus.ingest.ingest import IngestConfig, IngestError, cut_scenes
from corpus.storage.errors import ConfigError
from corpus.storage.parquet import ParquetError, read_parquet
from corpus.storage.redaction import without_user
from corpus.storage.state_files import RecordError
from corpus.tiles import CorpusError, tile_path
from hcot_llm.engines.vision_language import VisionLanguageConfig, VisionLanguageModel
from hcot_llm.schema.answers import parse_answer
from hcot_llm.schema.errors import AnswerError
from model.checkpoint import load_captioner, load_encoder, load_tokenizer
from model.weights_check import WeightsError, check_weights
from orchestrator.config.load import load_config
from orchestrator.experiments.config import load_ablation
from orchestrator.run.preflight import preflight
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from orchestrator.tracking.base import TrackerAway
from orchestrator.tracking.mlflow_store import ui_command
from support.geotiffs import speckled_dn, write_geotiff, write_vrt
from support.hcot import CLAUSES, HCOT
from support.paths import ROOT
from support.trackers import started, tracker_in, undeliver
from support.training_job import toy_model

SMOKE = ROOT / "configs" / "smoke.yaml"


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path):
    """A file that must not be there in the end."""
    path = tmp_path / "code-was-run"
    yield path
    assert not path.exists()


def test_the_payload_is_seen_to_bite(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    torch.save({"module": Payload(tmp_path / "ran too")}, tmp_path / "x.pt")
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert (tmp_path / "ran").exists()
    assert (tmp_path / "ran too").exists()


@pytest.fixture(scope="module")
def good_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "round-0001"
    create_weights(HCOT, path, toy_model(), seed=0)
    return path


@pytest.fixture
def weights(good_weights, tmp_path):
    return Path(shutil.copytree(good_weights, tmp_path / "weights"))


def change_json(path: Path, **entries) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def pickle_beside(weights, mark):
    torch.save({"w": Payload(mark)}, weights / "encoder" / "extra.pt")


def pickle_instead(weights, mark):
    for part in ("encoder", "captioner/decoder"):
        (weights / part / "model.safetensors").unlink()
        torch.save({"w": Payload(mark)}, weights / part / "pytorch_model.bin")


def code_beside(weights, mark):
    (weights / "captioner" / "decoder" / "modeling.py").write_text(f"open({str(mark)!r}, 'w')")


def remote_code(weights, mark):
    code_beside(weights, mark)
    for part in ("encoder", "captioner/decoder"):
        change_json(weights / part / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Model"})


def remote_code_alone(weights, mark):
    change_json(weights / "encoder" / "config.json", auto_map={"AutoConfig": "someone/model--configuration.Config"})


def tokenizer_code(weights, mark):
    change_json(weights / "captioner" / "decoder" / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "a.B"]})


def kernel_from_the_hub(weights, mark):
    change_json(weights / "encoder" / "config.json", attn_implementation="someone/kernel")


def other_file(weights, mark):
    change_json(weights / "encoder" / "config.json", transformers_weights="../../elsewhere.safetensors")


def index_outside(weights, mark):
    (weights / "encoder" / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"w": "../captioner/model.safetensors"}})
    )


def link_outside(weights, mark):
    (weights / "encoder" / "special_tokens_map.json").symlink_to("/etc/passwd")


ATTACKS_ON_WEIGHTS = [
    pickle_beside,
    pickle_instead,
    code_beside,
    remote_code,
    remote_code_alone,
    tokenizer_code,
    kernel_from_the_hub,
    other_file,
    index_outside,
    link_outside,
]


@pytest.mark.parametrize("attack", ATTACKS_ON_WEIGHTS, ids=lambda attack: attack.__name__)
def test_weights_from_elsewhere_run_nothing(weights, mark, tmp_path, attack):
    attack(weights, mark)
    refused = []
    for load in (load_encoder, load_captioner, load_tokenizer):
        try:
            load(weights)
        except WeightsError as error:
            refused.append(error)
    assert refused, "no reader of the weights refused them"
    with pytest.raises(WeightsError, match="are not read: .*Use a weights directory as a run writes it"):
        check_weights(weights)
    with pytest.raises(WeightsError):
        copy_weights(weights, tmp_path / "run" / "weights" / "round-0000")
    assert not (tmp_path / "run").exists()
    with pytest.raises(WeightsError):
        preflight(load_config(SMOKE, [f"start_weights={weights}"]))


def test_weights_of_a_run_are_read(weights):
    check_weights(weights)
    assert load_encoder(weights)
    assert load_captioner(weights)
    assert load_tokenizer(weights)


def test_start_weights_that_are_none_are_named(tmp_path):
    with pytest.raises(ConfigError, match="start_weights names .*nothing, which holds no weights"):
        preflight(load_config(SMOKE, [f"start_weights={tmp_path / 'nothing'}"]))


def own_code(folder: Path, mark: Path) -> None:
    """A model of a kind that no library knows: its configuration, tokenizer and processor name the code beside it."""
    (folder / "code.py").write_text(f"open({str(mark)!r}, 'w')\n\n\nclass Own:\n    pass\n")
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "someone's",
                "architectures": ["Own"],
                "auto_map": dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "code.Own"),
            }
        )
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["code.Own", None]}})
    )
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "Own", "auto_map": {"AutoProcessor": "code.Own"}})
    )
    save_file({"w": torch.ones(1)}, folder / "model.safetensors")


def own_code_of_a_known_kind(folder: Path, mark: Path) -> None:
    own_code(folder, mark)
    change_json(folder / "config.json", model_type="idefics3")


def load_as_vllm_does(llm: dict) -> list[Exception]:
    """Read configuration, tokenizer and processor by the settings that vLLM is started with; what was refused."""
    refused = []
    for kind in (AutoConfig, AutoTokenizer, AutoProcessor):
        try:
            kind.from_pretrained(llm["model"], trust_remote_code=llm["trust_remote_code"])
        except Exception as error:  # each library's own
            refused.append(error)
    return refused


@pytest.fixture
def vllm_settings(monkeypatch, tmp_path):
    """What our engine tells vLLM of a model, without an engine; the copies of its code go to a folder of their own."""
    told = {}

    class Engine:
        def __init__(self, **settings) -> None:
            told.update(settings)

        def get_tokenizer(self):
            return None

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=Engine))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])

    def settings_for(folder: Path) -> dict:
        config = VisionLanguageCaptionerConfig(vision_language=VisionLanguageConfig(model=str(folder)))
        config.check()
        VisionLanguageModel(config.vision_language)
        return told

    return settings_for


@pytest.mark.parametrize("attack", [own_code, own_code_of_a_known_kind], ids=lambda attack: attack.__name__)
def test_a_vision_language_models_own_code_is_not_run(tmp_path, mark, vllm_settings, attack):
    (tmp_path / "model").mkdir()
    attack(tmp_path / "model", mark)
    settings = vllm_settings(tmp_path / "model")
    assert settings["trust_remote_code"] is False
    assert settings["load_format"] == "safetensors"
    assert load_as_vllm_does(settings), "nothing of it was refused"


def test_a_vision_language_models_own_code_is_seen_to_bite(tmp_path, vllm_settings):
    (tmp_path / "model").mkdir()
    own_code(tmp_path / "model", tmp_path / "ran")
    load_as_vllm_does(vllm_settings(tmp_path / "model") | {"trust_remote_code": True})
    assert (tmp_path / "ran").exists()


def test_the_trainers_state_runs_nothing(tmp_path, mark):
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
    from deepspeed.runtime.fp16.loss_scaler import LossScaler

    path = tmp_path / "mp_rank_00_model_states.pt"
    torch.save({"module": Payload(mark)}, path)
    with pytest.raises(StateRefused, match=f"{tmp_path} holds something else than tensors"), weights_only(tmp_path):
        TorchCheckpointEngine().load(str(path))
    torch.save({"module": {"w": torch.ones(2)}, "scaler": LossScaler(1.0)}, path)
    with weights_only(tmp_path):
        assert torch.equal(TorchCheckpointEngine().load(str(path))["module"]["w"], torch.ones(2))


def test_converting_the_state_runs_nothing(tmp_path, mark, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["convert"])
    source = tmp_path / "zero"
    source.mkdir()
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        torch.save({"optimizer_state_dict": Payload(mark), "module": Payload(mark)}, source / name)
    with pytest.raises(StateRefused):
        convert(source, tmp_path / "universal")


def annotations(value: str = "plain") -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "tile_id": "a",
                "clause": "terrain",
                "value": value,
                "text": "t",
                "level": 1,
                "source": "seed",
                "confidence": 0.5,
                "round": 0,
                "weights_sha256": "w",
                "prompt_sha256": "p",
            }
        ],
        schema=ANNOTATION_SCHEMA,
    )


def pickled_column(mark: Path) -> tuple[pa.Field, pa.Array]:
    """As Ray Data stores Python objects."""
    field = pa.field(
        "tile_id",
        pa.binary(),
        metadata={"ARROW:extension:name": "ray.data.arrow_pickled_object", "ARROW:extension:metadata": b""},
    )
    return field, pa.array([pickle.dumps(Payload(mark))], pa.binary())


@pytest.fixture
def ray_data_types():
    import ray.data  # noqa: F401
    from ray.data._internal.object_extensions import arrow  # noqa: F401


@pytest.mark.parametrize("nested", [False, True])
def test_a_column_of_pickles_is_not_read(tmp_path, mark, ray_data_types, nested):
    field, column = pickled_column(mark)
    if nested:
        column = pa.StructArray.from_arrays([column], fields=[field])
        field = pa.field("row", column.type)
    pq.write_table(pa.Table.from_arrays([column], schema=pa.schema([field])), tmp_path / "seed.parquet")
    with pytest.raises(ParquetError, match="extension type"):
        read_parquet(tmp_path / "seed.parquet")


@pytest.fixture
def table(tmp_path):
    store = AnnotationStore(tmp_path / "table")
    store.commit(annotations(), run_id="r", round_=0)
    pq.write_table(annotations("stolen"), tmp_path / "secret.parquet")
    return store


@pytest.mark.parametrize(
    "path", ["../secret.parquet", "%2e%2e/secret.parquet", "x/../../secret.parquet", "{absolute}", "file://{absolute}"]
)
def test_a_delta_log_cannot_point_out_of_its_table(table, tmp_path, path):
    secret = tmp_path / "secret.parquet"
    log = table.path / "_delta_log" / f"{0:020d}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"] |= {"path": path.format(absolute=secret), "size": secret.stat().st_size}
    log.write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(AnnotationError, match="cannot be read: .*restore the folder"):
        AnnotationStore(table.path).read()


def test_a_link_in_a_table_is_not_followed(table, tmp_path):
    [part] = table.path.glob("*.parquet")
    shutil.move(part, tmp_path / "outside.parquet")
    part.symlink_to(tmp_path / "outside.parquet")
    with pytest.raises(AnnotationError, match="link that leads out"):
        table.read()


def test_a_tile_that_is_a_link_out_of_its_corpus_is_refused(tmp_path):
    (tmp_path / "corpus" / "tiles").mkdir(parents=True)
    (tmp_path / "corpus" / "tiles" / "a.tif").symlink_to("/etc/passwd")
    with pytest.raises(CorpusError, match="leads out"):
        tile_path(tmp_path / "corpus", "tiles/a.tif")


@pytest.mark.parametrize("suffix", [".tif.ovr", ".tif.msk", ".tif.aux.xml", ".tfw", ".tif.tfw"])
def test_what_lies_beside_a_tile_is_not_looked_at(tmp_path, suffix):
    path = write_geotiff(tmp_path / "t.tif", speckled_dn())
    alone = read_backscatter(path)
    other = tmp_path / f"t{suffix}"
    if suffix.endswith((".ovr", ".msk")):
        write_geotiff(tmp_path / "other.tif", np.zeros((2, 128, 128), np.uint8)).rename(other)
    elif suffix.endswith("xml"):
        other.write_text(
            "<PAMDataset><PAMRasterBand band='1'><NoDataValue>300</NoDataValue></PAMRasterBand></PAMDataset>"
        )
    else:
        other.write_text("1\n0\n0\n-1\n0\n0\n")
    assert np.array_equal(read_backscatter(path).array, alone.array, equal_nan=True)


@pytest.fixture
def web(tmp_path):
    """A scene behind a local web server, which keeps what was asked of it."""
    folder, asked = tmp_path / "web", []
    write_geotiff(folder / "scene.tif", speckled_dn())

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True, args=(0.02,)).start()
    yield f"http://127.0.0.1:{server.server_port}/scene.tif", asked
    server.shutdown()


def ingest(tmp_path, name: str, **settings):
    (tmp_path / "list.txt").write_text(f"{name}\n")
    return cut_scenes(tmp_path / "list.txt", tmp_path / "out", IngestConfig(tile_px=64, **settings))


def test_a_url_is_fetched_only_where_allowed(tmp_path, web):
    url, asked = web
    for name in (url, f"/vsicurl/{url}"):
        with pytest.raises(IngestError, match="virtual_or_remote.*corpus.ingest.allow_virtual=true"):
            ingest(tmp_path, name)
    assert asked == []
    assert ingest(tmp_path, url, allow_virtual=True).tiles == 4
    assert asked


def test_a_virtual_dataset_is_opened_only_where_allowed(tmp_path):
    scene = write_geotiff(tmp_path / "scene_VV.tif", speckled_dn(1), descriptions=("VV",))
    vrt = write_vrt(tmp_path / "posing_VV.tif", str(scene))
    with pytest.raises(IngestError, match="virtual_or_remote"):
        ingest(tmp_path, vrt.name)
    assert ingest(tmp_path, vrt.name, allow_virtual=True).tiles == 4


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:pathlib.Path.touch [{mark}]",
        "!!python/object/new:os.system [touch {mark}]",
        "name: !!python/name:os.system",
        "a: &a [*a]",
        "[" * 5000,
    ],
)
def test_yaml_makes_no_objects_and_ends(tmp_path, mark, text):
    path = tmp_path / "evil.yaml"
    path.write_text(text.replace("{mark}", str(mark)))
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(path)
    if "mark" in text:
        with pytest.raises(ConfigError, match="not YAML"):
            load_config(SMOKE, [f"name={text.removeprefix('name: ')}"])


@pytest.mark.parametrize(("open_", "close"), [("[{}]", "*"), ("{{<<: [{}]}}", "*")])
def test_yaml_does_not_grow(tmp_path, open_, close):
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} " + open_.format(", ".join([f"{close}a{i - 1}"] * 9)) for i in range(1, 12)]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join([*lines, "name: *a11"]))
    with pytest.raises(ConfigError, match="aliases stand for more than 100,000 values") as error:
        load_config(path)
    assert len(str(error.value)) < 1000


NO_NAMES = ["../up", "/etc/x", "a/b", "..", ".", ".hidden", "a\\b", '"a\\nb"', "-rf", "''"]


@pytest.mark.parametrize("key", ["name", "corpus.name"])
@pytest.mark.parametrize("name", NO_NAMES)
def test_names_cannot_leave_their_folder(key, name):
    with pytest.raises(ConfigError, match=rf"\n  {re.escape(key)}: "):
        load_config(SMOKE, [f"{key}={name}"])


@pytest.mark.parametrize("name", NO_NAMES)
def test_an_ablations_name_cannot_leave_its_folder_either(tmp_path, name):
    text = re.sub(r"(?m)^name: .*\n", "", (SMOKE.parent / "ablation.yaml").read_text())
    path = tmp_path / "ablation.yaml"
    path.write_text(f"name: {name}\n{text}")
    with pytest.raises(ConfigError, match="\n  name: "):
        load_ablation(path)


def test_a_configurations_file_name_is_checked_too(tmp_path):
    path = tmp_path / "..yaml"
    path.write_text("rounds: 1\n")
    with pytest.raises(ConfigError, match="name: "):
        load_config(path)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="RAY_AUTH_TOKEN") as error:
        load_config(SMOKE, ["cluster.address=ray://me:hunter2@head:10001"])
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("inside", ["weights", "checkpoints/trainer", "mlflow.db", "annotations"])
def test_a_run_directory_with_a_link_out_of_it_is_not_opened(tmp_path, monkeypatch, inside):
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory.create(load_config(SMOKE), tmp_path / "run").path
    (tmp_path / "elsewhere").mkdir()
    (directory / inside).parent.mkdir(exist_ok=True)
    (directory / inside).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirectoryError, match="outside the run directory; it is not followed"):
        RunDirectory.open(directory)


@pytest.fixture
def tracker(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "run").mkdir()
    tracker = tracker_in(tmp_path / "run")
    tracker.start({})
    return tracker


def test_artifacts_stay_in_the_run_directory(tmp_path, tracker, monkeypatch):
    """Neither a folder's name, nor the run's own files, nor its store can send them elsewhere."""
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"png")
    for folder in ("../../..", "/etc", "a/../../../b"):
        with pytest.raises(MlflowException, match="Invalid artifact path"):
            tracker.log_files(None, [figure], folder)

    moved = Path(shutil.move(tmp_path / "run", tmp_path / "moved"))
    again = tracker_in(moved)
    again.start({})
    again.log_files(None, [figure], "figures")
    assert not (tmp_path / "run").exists()
    assert list(moved.glob("mlartifacts/*/artifacts/figures/figure.png"))

    change_json(moved / "mlflow_runs.json", parent="../../../../escaped")
    with pytest.raises(RecordError, match="parent"):
        tracker_in(moved).start({})


def test_an_id_in_a_foreign_store_cannot_send_artifacts_elsewhere(tmp_path, tracker):
    """A run directory that came with an MLflow store in which a run's id leads out of it, and with files to deliver."""
    run_dir, figure = tmp_path / "run", tmp_path / "figure.png"
    figure.write_bytes(b"png")
    before = json.loads((run_dir / "mlflow_runs.json").read_text())
    tracker.log_files(None, [figure], "figures")
    change_json(run_dir / "mlflow_runs.json", parent=None)
    undeliver(run_dir, figure)
    with sqlite3.connect(run_dir / "mlflow.db") as store:
        for table in ("runs", "tags"):
            store.execute(f"UPDATE {table} SET run_uuid = '../../../outside' WHERE run_uuid = ?", (before["parent"],))
    with pytest.raises(RecordError, match="'../../../outside' is no id of a run"):
        tracker_in(run_dir).start({})
    assert not list(tmp_path.glob("**/outside"))


def test_a_servers_password_stays_out_of_messages_and_files(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    tracker = tracker_in(tmp_path)
    assert started(tracker, {}) is None
    assert "127.0.0.1:9" in tracker.undelivered
    with pytest.raises(TrackerAway) as error:
        tracker.check_reachable()
    written = "".join(path.read_text("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    said = "".join(traceback.format_exception(error.value)) + tracker.undelivered + ui_command(tmp_path)
    assert "127.0.0.1:9" in written
    assert "hunter2" not in written + said
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "hunter2")
    assert without_user("https://me:p@ss@host/x") == "https://host/x"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter2@db/mlflow")
    assert ui_command(tmp_path).endswith('ui --backend-store-uri "$MLFLOW_TRACKING_URI"')


@pytest.mark.parametrize("value", ["../../etc/passwd", "/etc/passwd", "\u0000", "__import__('os')"])
def test_an_answer_is_a_known_value_or_nothing(value):
    with pytest.raises(AnswerError):
        parse_answer(HCOT, json.dumps({str(CLAUSES[0]): value}), CLAUSES[:1])


def test_tokens_come_from_secrets_and_are_never_written_down():
    for path in (ROOT / "k8s").glob("*.yaml"):
        text = path.read_text()
        for content in filter(None, yaml.safe_load_all(text)):
            if content["apiVersion"].startswith("ray.io"):
                spec = content["spec"].get("rayClusterSpec", content["spec"])
                assert spec["authOptions"] == {"mode": "token"}
        assert "RAY_AUTH_MODE=disabled" not in text
        assert without_user(text) == text
        assert not re.search(r"(?i)(token|password|secret)[a-z_]*\"?\s*:\s*\"?[A-Za-z0-9+/=_-]{20,}", text)
