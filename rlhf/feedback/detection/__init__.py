"""Find out how the rows of a source are laid out, say why, and stop where a direction is not certain."""

from rlhf.feedback.detection.detect import detect_rows, detect_source
from rlhf.feedback.detection.found import Detection, Kind, ShapeError
from rlhf.feedback.detection.yaml_text import mapping_yaml

__all__ = ["Detection", "Kind", "ShapeError", "detect_rows", "detect_source", "mapping_yaml"]
