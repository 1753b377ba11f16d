"""The formats of an export by name. Another package adds one with `EXPORTERS.add`, see corpus/plugins.py."""

from corpus.registry import Registry
from export.base import Exporter
from export.formats.coco import CocoExporter
from export.formats.croissant import CroissantExporter
from export.formats.huggingface import HuggingFaceExporter
from export.formats.model_folder import ModelExporter
from export.formats.stac import StacExporter
from export.formats.torchgeo import TorchGeoExporter
from export.formats.trainingdml import TrainingDmlExporter

EXPORTERS: Registry[Exporter] = Registry("export format")
EXPORTERS.add("stac", StacExporter())
EXPORTERS.add("huggingface", HuggingFaceExporter())
EXPORTERS.add("coco", CocoExporter())
EXPORTERS.add("trainingdml", TrainingDmlExporter())
EXPORTERS.add("croissant", CroissantExporter())
EXPORTERS.add("torchgeo", TorchGeoExporter())
EXPORTERS.add("model", ModelExporter())
