"""Specifications beyond boxes: sets of inputs, what is wanted of the outputs on them, and the question that they make.

    from verify import specs
    question = specs.ask("net.onnx", specs.l2_ball(image, 0.5, clip=(0, 1)), specs.classified(3))
    result = question.solve(timeout=60)

docs/specifications.md has an example of each.
"""

from verify.specs.activation import Pattern, mine, within_pattern
from verify.specs.affine import affine
from verify.specs.asked import Asked, ask
from verify.specs.balls import box, l1_ball, l2_ball, linf_ball
from verify.specs.fair import counterfactual, same_class
from verify.specs.features import Choice, Fixed, Integer, OneHot, Range
from verify.specs.light import bias_field, brightness, brightness_contrast, contrast
from verify.specs.outputs import classified, not_confused, positive, within
from verify.specs.patches import occlusion, patch
from verify.specs.region import Region
from verify.specs.table import Relation, table
from verify.specs.words import synonyms

__all__ = [
    "Asked", "Choice", "Fixed", "Integer", "OneHot", "Pattern", "Range", "Region", "Relation", "affine", "ask",
    "bias_field", "box", "brightness", "brightness_contrast", "classified", "contrast", "counterfactual", "l1_ball",
    "l2_ball", "linf_ball", "mine", "not_confused", "occlusion", "patch", "positive", "same_class", "synonyms", "table",
    "within", "within_pattern",
]
