"""Bodies of operators that ONNX defines by others."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.verify.onnx_import.models import agrees, imported, model
from verify.onnx_import.call import Known, Variable
from verify.onnx_import.function import body, has_body

X = Variable("x", (2, 3))


def test_attributes_are_filled_in():
    found = body(helper.make_node("ThresholdedRelu", ["a"], ["b"], alpha=0.5), 13, (X,))
    numbers = [attribute.f for node in found.nodes for attribute in node.attribute if attribute.name == "value_float"]
    assert numbers == [0.5] and found.inputs == ("X",) and found.outputs == ("Y",)
    default = body(helper.make_node("ThresholdedRelu", ["a"], ["b"]), 13, (X,))
    assert [a.f for node in default.nodes for a in node.attribute if a.name == "value_float"] == [1.0]


def test_bodies_that_depend_on_what_is_there():
    bounds = (Known("l", np.float32(0)), Known("h", np.float32(1)))
    both = body(helper.make_node("Clip", ["x", "l", "h"], ["y"]), 13, (X, *bounds))
    one = body(helper.make_node("Clip", ["x", "", "h"], ["y"]), 13, (X, None, bounds[1]))
    assert len(both.nodes) > len(one.nodes)


def test_there_are_operators_without_a_body():
    assert body(helper.make_node("Conv", ["x", "w"], ["y"]), 13, (X, X)) is None
    assert body(helper.make_node("Mystery", ["x"], ["y"]), 13, (X,)) is None
    assert has_body("ThresholdedRelu", 13) and not has_body("Conv", 13) and not has_body("Mystery", 13)


def test_center_crop_and_affine_grid_are_imported_by_their_bodies():
    """No importer of ours: shapes are computed on the way, only moves (a linear map) remain."""
    crop = helper.make_node("CenterCropPad", ["x", "s"], ["y"], axes=[1, 2])
    shape = helper.make_tensor("s", 7, [2], [2, 5])
    agrees(model([crop], (2, 4, 3), [shape], opset=18))
    theta = helper.make_node("AffineGrid", ["x", "s"], ["y"])
    network = imported(model([theta], (2, 2, 3), [helper.make_tensor("s", 7, [4], [2, 1, 2, 3])], opset=20))
    assert network.output_shape == (2, 2, 3, 2) and not network.graph.nonlinear
