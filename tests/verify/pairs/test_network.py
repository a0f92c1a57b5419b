"""A pair is a network that onnxruntime runs as two models; what fits together is coupled, what does not is merged."""

import numpy as np
import pytest
import torch

from tests.soundness.nets import dense
from tests.verify.onnx_import.models import constant, imported, model
from tests.verify.pairs.toys import layers, moved, network, toy_pair, unit_box
from verify.budget import Budget
from verify.engines.bab import analyse_root, choose_plan
from verify.errors import ShapeMismatch, UnsupportedOperator
from verify.onnx_import import compare_with_onnxruntime, from_bytes
from verify.ops.difference import Difference
from verify.pairs.network import pair, raised_model
from verify.pairs.properties import equivalence
from verify.pairs.tie import Tie
from verify.pipeline import Problem


@pytest.mark.parametrize("tie", [Tie(), Tie((1,)), Tie((2, 0))], ids=str)
@pytest.mark.parametrize("coupled", [True, False])
def test_a_pair_is_what_onnxruntime_computes(tie, coupled):
    first, second = toy_pair(1, inputs=3)
    both = pair(first, second, tie, coupled)
    assert bool(both.note) != coupled and both.exact
    assert any(isinstance(node.op, Difference) for node in both.network.graph.nodes) == coupled
    assert (both.inputs, both.outputs) == (3, 2)
    points = torch.rand(6, *both.network.input_shape, generator=torch.Generator().manual_seed(0))
    assert compare_with_onnxruntime(both.network, points) < 1e-5
    assert torch.allclose(both.network.declared.evaluate(points.double()), both.network.graph.evaluate(points.double()))


def test_other_structures_are_merged_and_say_why():
    first = layers(0)
    both = pair(network(first), network([*first, (np.eye(2), np.zeros(2))]))
    assert both.note == "nodes 'y0' and 'y1' have the shapes [1, 4] and [1, 2]"
    assert pair(network(first), network(layers(0, hidden=5))).note.endswith("have the shapes [1, 4] and [1, 5]")


def test_sizes_are_named_with_their_files():
    one, other = network(layers(0)), network(layers(0, inputs=2))
    with pytest.raises(ShapeMismatch, match="bytes has 1 inputs, bytes has 2"):
        pair(one, other)
    with pytest.raises(ShapeMismatch, match="2 outputs, bytes has 3"):
        pair(one, network(layers(0, outputs=3)))


def test_rounded_quotients_are_not_exact():
    scale = imported(model([_node("Div", ["x", "c"], ["y"])], [1, 2], [constant("c", [[3.0, 3.0]])]))
    both = pair(scale, scale)
    assert not both.exact and not both.note


def _node(*args, **kwargs):
    from onnx import helper

    return helper.make_node(*args, **kwargs)


def test_a_raised_model_reads_the_point_and_its_rise():
    network_ = from_bytes(dense(moved(layers(3, inputs=3), 3)))
    other = from_bytes(raised_model(network_, Tie((2, 0))))
    x = torch.tensor([[1.0, 2.0, 3.0, 0.5, 0.25]]).double()
    shifted = torch.tensor([[[1.25, 2.0, 3.5]]]).double()
    assert torch.allclose(other.graph.evaluate(x).flatten(), network_.graph.evaluate(shifted).flatten())


def test_names_of_the_model_are_kept_apart():
    proto = model([_node("Relu", ["x"], ["pair_point"]), _node("Relu", ["pair_point"], ["y"])], [1, 2])
    other = from_bytes(raised_model(imported(proto), Tie((0,))))
    assert other.graph.evaluate(torch.tensor([[-1.0, 1.0, 2.0]]).double()).tolist() == [[[1.0, 1.0]]]


def test_several_inputs_cannot_be_raised():
    two = imported(model([_node("Add", ["x", "z"], ["y"])], [1, 2], inputs=("x", "z")))
    with pytest.raises(UnsupportedOperator, match="2 inputs"):
        pair(two, two, Tie((0,)))
    assert not pair(two, two).note


def test_boxes_of_coupled_networks_are_cut():
    both = pair(*toy_pair(1, inputs=3))
    spec = equivalence(unit_box(3), 2, 0.01)
    asked = Problem(both.network, spec).query(spec.cases[0])
    assert choose_plan(asked, analyse_root(asked, Budget()).root).modes == ("input",)
