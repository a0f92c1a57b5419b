import pytest
import torch

from verify.errors import BrokenInvariant
from verify.ops import Affine, Relu, Tanh
from verify.relaxations import CROWN, FASTLIN, Relaxer
from verify.sets import Interval

PRE = Interval(torch.tensor([[-1.0, -3.0]]), torch.tensor([[3.0, 1.0]]))


def test_named_choices():
    assert CROWN.lines("a", Relu(), PRE).lower_slope.tolist() == [[1.0, 0.0]]
    assert FASTLIN.lines("a", Relu(), PRE).lower_slope.tolist() == [[0.75, 0.25]]
    assert bool((CROWN.lines("a", Tanh(), PRE).upper_slope > 0).all())


def test_alpha_overrides_node_by_node():
    relaxer = Relaxer(alpha={"a": torch.tensor([[0.5, 2.0]])})
    assert relaxer.lines("a", Relu(), PRE).lower_slope.tolist() == [[0.5, 1.0]]
    assert relaxer.lines("b", Relu(), PRE).lower_slope.tolist() == [[1.0, 0.0]]


def test_unknown_primitives_are_named():
    with pytest.raises(BrokenInvariant, match="Affine"):
        CROWN.lines("a", Affine(), PRE)
