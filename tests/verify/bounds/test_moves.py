import torch

from tests.verify.bounds.networks import Builder
from verify.bounds.moves import source_of
from verify.ops import Gather, Relu, Reshape, Transpose


def test_moves_are_followed_to_what_they_move():
    b = Builder((1, 6))
    top = b.add(Relu(), "x")
    moved = b.add(Gather(torch.tensor([[0, 5], [5, 1]])), b.add(Transpose((1, 0)), b.add(Reshape((2, 3)), top)))
    graph = b.graph(moved)
    source, index = source_of(graph, moved)
    x = torch.rand(1, 1, 6, dtype=torch.float64)
    values = graph.values(x, [source, moved])
    assert source == top and index.tolist() == [0, 5, 5, 3]
    assert torch.equal(values[moved].flatten(), values[source].flatten()[index])


def test_what_computes_or_fills_is_its_own_source():
    b = Builder((1, 3))
    filled = b.add(Gather(torch.tensor([0, -1])), "x")
    graph = b.graph(filled)
    assert source_of(graph, filled)[0] == filled and source_of(graph, "x")[1].tolist() == [0, 1, 2]
