"""TorchGeo: a dataset class over the exported folder, tried where torchgeo is installed, in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio

from corpus.geotiff.read import model_image
from orchestrator.data.exported import open_source


@pytest.fixture(scope="module", params=["simulated", "real"])
def made(request, export):
    """(folder, source) of a run."""
    run_dir = request.getfixturevalue(request.param)
    return export(run_dir, "torchgeo"), open_source(run_dir)


def test_the_folder_holds_every_tile_with_its_clauses(made):
    folder, source = made
    rows = pq.read_table(folder / "tiles.parquet").to_pylist()
    for row, sample in zip(rows, source.samples(), strict=True):
        assert {name: row[name] for name in source.schema.names} == sample.values
        assert row["caption"] == sample.caption
        with rasterio.open(folder / row["image"]) as now, rasterio.open(sample.file) as was:
            assert now.descriptions == was.descriptions


LOADS = """
import json, sys, numpy
sys.path.insert(0, sys.argv[1])
from sar_corpus import SarCorpus
from torch.utils.data import DataLoader
from torchgeo.datasets import NonGeoDataset
found = {}
for split in ("train", "held_out"):
    data = SarCorpus(sys.argv[1], split=split)
    assert isinstance(data, NonGeoDataset)
    for sample in data:
        numpy.save(sys.argv[2] + "/" + sample["tile_id"], sample["image"].numpy())
        values = {name: data.classes[name][k] for name, k in zip(data.clauses, sample["label"].tolist())}
        found[sample["tile_id"]] = values
    batch = next(iter(DataLoader(data, batch_size=2)))
    assert batch["image"].shape[:2] == (len(batch["caption"]), 2)
    data.plot(data[0]).savefig(sys.argv[2] + "/plot.png")
print(json.dumps(found))
"""


def test_the_class_gives_images_as_the_model_sees_them_and_labels(made, tmp_path):
    probe = subprocess.run([sys.executable, "-c", "import torchgeo.datasets"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"torchgeo cannot be imported here: {probe.stderr.strip().splitlines()[-1]}")
    folder, source = made
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(folder), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for sample in source.samples():
        assert found[sample.tile.tile_id] == sample.values
        image = np.load(tmp_path / f"{sample.tile.tile_id}.npy")
        np.testing.assert_allclose(image, model_image(sample.file).astype(np.float32), atol=0.004)
