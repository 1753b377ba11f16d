"""The methods of the benchmark by name. Importing this module registers them."""

from benchmark.baselines.cfar import Cfar, Nothing
from benchmark.baselines.checkpoints.entries import CHECKPOINTS, PublishedCheckpoint
from benchmark.baselines.otsu import Otsu
from benchmark.baselines.outside_encoder import OutsideEncoder
from benchmark.baselines.own_encoder import OfRound, OwnEncoder, Untrained
from benchmark.baselines.recipes.methods import TRAINED_HERE
from benchmark.baselines.small_cnn import SmallCnn
from benchmark.baselines.trivial import Majority, NearestPixels, SizeOnly, Trees
from benchmark.suite.base import METHODS

METHODS.add("majority", Majority())
METHODS.add("otsu", Otsu())
METHODS.add("nothing", Nothing())
METHODS.add("cfar", Cfar())
METHODS.add("nearest_pixels", NearestPixels())
METHODS.add("trees", Trees())
METHODS.add("size_only", SizeOnly())
METHODS.add("small_cnn", SmallCnn())
METHODS.add("ours", OwnEncoder())
METHODS.add("ours_round_0", OfRound(0, "what the run of --run started from, before any training of its own"))
METHODS.add("ours_round_1", OfRound(1, "the run's encoder after its first round: trained on the initial annotations"))
METHODS.add("ours_untrained", Untrained())
METHODS.add("encoder", OutsideEncoder())
for _name, _method in TRAINED_HERE.items():
    METHODS.add(_name, _method)
for _name, _entry in CHECKPOINTS.items():
    METHODS.add(_name, PublishedCheckpoint(_name, _entry))
