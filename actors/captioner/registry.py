"""The kinds of captioners by name. Another package adds one with `CAPTIONERS.register`, see corpus/plugins.py."""

from actors.captioner.base import CaptionerConfig
from actors.captioner.endpoint import EndpointCaptionerConfig
from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.vision_language import VisionLanguageCaptionerConfig
from corpus.config_kinds import ConfigKinds

CAPTIONERS = ConfigKinds[CaptionerConfig]("captioner kind", default="native")
CAPTIONERS.add("native", NativeCaptionerConfig)
CAPTIONERS.add("vision_language", VisionLanguageCaptionerConfig)
CAPTIONERS.add("endpoint", EndpointCaptionerConfig)
