"""The layer in front: exact constants, the model's type, the valid range."""

from fractions import Fraction

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.specs.models import dense, linear, outputs
from verify.certificate.exact import exact_output
from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import import from_bytes
from verify.onnx_import.module import from_module
from verify.specs.front import Affine


def test_constants_are_exact_over_the_reals():
    """A tenth of float64 is the sum of three float32 numbers; the composite maps rationals exactly."""
    network = from_module(linear([[1.0, 0.0], [0.0, 1.0]]), input_shape=(1, 2))
    front = Affine(np.array([0.1, 1 / 3]), (np.array([[0.7, -0.3]]),))
    composite = front.attach(network)
    found = exact_output(composite.graph, np.array([0.5], np.float32), 1e6)
    assert found == [Fraction(0.1) + Fraction(0.7) / 2, Fraction(1 / 3) - Fraction(0.3) / 2]


@pytest.mark.parametrize("clip", [None, (0.0, 0.5)])
def test_composite_and_image(clip):
    net = dense(3, 5, 2)
    network = from_module(net, input_shape=(1, 3))
    base, bases = np.array([0.25, 0.5, 0.0]), (np.eye(2, 3), np.full((2, 3), 0.5))
    front = Affine(base, bases, clip)
    composite, p = front.attach(network), np.array([0.5, -1.0], np.float32)
    image = base + p @ sum(bases)
    image = image if clip is None else image.clip(*clip)
    np.testing.assert_allclose(front.apply(p, network), image.reshape(1, 3), atol=1e-7)
    y = composite.graph.evaluate(torch.from_numpy(p.astype(np.float64)).reshape(1, 1, 2))
    np.testing.assert_allclose(y.reshape(-1), outputs(net, image)[0:], atol=1e-12)
    assert composite.input_shape == (1, 2) and composite.output_shape == network.output_shape


def test_models_in_double_precision():
    node = helper.make_node("Relu", ["x"], ["y"])
    port = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [3]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", port[:1], port[1:]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 9)])
    onnx.checker.check_model(model)
    network = from_bytes(model.SerializeToString())
    front = Affine(np.array([0.1, 0.2, -9.0]), (np.array([[1.0, 1.0, 1.0]]),), (-1.0, 0.3))
    assert front.attach(network).double
    np.testing.assert_array_equal(front.apply(np.array([0.1]), network), [0.2, 0.1 + 0.2 if 0.1 + 0.2 < 0.3 else 0.3,
                                                                         -1.0])


def test_what_does_not_fit_is_named():
    network = from_module(dense(3, 2), input_shape=(1, 3))
    with pytest.raises(ShapeMismatch, match="the perturbed input has 2 entries; the input 'input' of Sequential has 3"):
        Affine(np.zeros(2), (np.eye(2),)).attach(network)
    with pytest.raises(InvalidInput, match=r"clip must be numbers of the model's type float32, got 0\.1"):
        Affine(np.zeros(3), (np.eye(3),), (0.1, 1.0)).attach(network)
    with pytest.raises(InvalidInput, match=r"the base holds 1e\+300, too large or too small"):
        Affine(np.full(3, 1e300), (np.eye(3),)).attach(network)
