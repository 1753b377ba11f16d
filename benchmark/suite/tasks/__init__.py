"""The tasks of the benchmark, one file each. Importing this package registers them."""

from benchmark.suite.base import SUITE
from benchmark.suite.tasks.captioning import CAPTIONING
from benchmark.suite.tasks.classification_aircraft import CLASSIFICATION_AIRCRAFT
from benchmark.suite.tasks.classification_land_cover import CLASSIFICATION_LAND_COVER
from benchmark.suite.tasks.classification_target import CLASSIFICATION_TARGET
from benchmark.suite.tasks.detection_aircraft import DETECTION_AIRCRAFT
from benchmark.suite.tasks.detection_dense import DETECTION_DENSE
from benchmark.suite.tasks.detection_ship import DETECTION_SHIP
from benchmark.suite.tasks.retrieval import RETRIEVAL
from benchmark.suite.tasks.segmentation_land_cover import SEGMENTATION_LAND_COVER
from benchmark.suite.tasks.segmentation_polarimetric import SEGMENTATION_POLARIMETRIC
from benchmark.suite.tasks.vqa import VQA

SUITE.add("classification_target", CLASSIFICATION_TARGET)
SUITE.add("classification_aircraft", CLASSIFICATION_AIRCRAFT)
SUITE.add("classification_land_cover", CLASSIFICATION_LAND_COVER)
SUITE.add("detection_ship", DETECTION_SHIP)
SUITE.add("detection_aircraft", DETECTION_AIRCRAFT)
SUITE.add("detection_dense", DETECTION_DENSE)
SUITE.add("segmentation_land_cover", SEGMENTATION_LAND_COVER)
SUITE.add("segmentation_polarimetric", SEGMENTATION_POLARIMETRIC)
SUITE.add("retrieval", RETRIEVAL)
SUITE.add("captioning", CAPTIONING)
SUITE.add("vqa", VQA)
