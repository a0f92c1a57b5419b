import torch

from tests.bab.test_input_split import constraint, query_of
from tests.verify.bounds.networks import ALL, boxes
from verify.attack.base import disjunct_margins, unsafe_points


def test_the_slack_of_a_disjunct_is_its_largest_row():
    rows = torch.tensor([[1.0, -2.0, 3.0], [-1.0, -5.0, -7.0]])
    members = torch.tensor([[True, True, False], [False, True, True], [False, False, False]])
    assert disjunct_margins(rows, members).tolist() == [[1.0, 3.0, -torch.inf], [-1.0, -5.0, -torch.inf]]


def test_without_any_row_everything_is_unsafe():
    assert disjunct_margins(torch.zeros(4, 0), torch.zeros(1, 0, dtype=torch.bool)).tolist() == [[-torch.inf]] * 4


def test_unsafe_points_are_unsafe_and_deepest_first():
    graph = ALL["mlp"](0)
    x = boxes(graph)[2:3].sample(200)
    values = graph.evaluate(x).flatten(1)[:, 0]
    middle = float(values.median())
    query = query_of(graph, boxes(graph)[2:3], [[constraint([(0, 1)], -middle)]])
    found = unsafe_points(query, x, limit=5)
    assert torch.allclose(graph.evaluate(found).flatten(1)[:, 0], values.sort().values[:5])
    impossible = query_of(graph, boxes(graph)[2:3], [[constraint([(0, 1)], 10**6)]])
    assert unsafe_points(impossible, x) is None


def test_numbers_that_are_not_finite_are_no_candidates():
    graph = ALL["mlp"](0)
    query = query_of(graph, boxes(graph)[:1], [[constraint([(0, 1)], 0)]])
    assert unsafe_points(query, torch.full((3, 1, 3), float("nan"), dtype=torch.float64)) is None
