import pytest
import torch

from verify.errors import InvalidInput
from verify.graph import Graph, Node
from verify.ops import Input
from verify.pairs.tie import SHARED, Tie

SOURCE = Node("x", Input((1, 3)), (), (1, 3))


def test_a_shared_input_has_no_difference():
    assert SHARED.entries(SOURCE) == ([SOURCE], None)


def test_raised_coordinates_follow_the_point():
    """x = (1, 2, 3) and a rise of (10, 20) in coordinates 2 and 0: x - x' = (-20, 0, -10)."""
    nodes, apart = Tie((2, 0)).entries(SOURCE)
    values = Graph(tuple(nodes), apart).values(torch.tensor([[1.0, 2, 3, 10, 20]]).double(), ["x"])
    assert values["x"].tolist() == [[[1, 2, 3]]]
    assert values[apart].tolist() == [[[-20, 0, -10]]]


@pytest.mark.parametrize("raised", [(3,), (-1,), (0, 0)])
def test_coordinates_must_exist_and_differ(raised):
    with pytest.raises(InvalidInput, match="0 to 2"):
        Tie(raised).check(3)
    Tie((0, 2)).check(3)
