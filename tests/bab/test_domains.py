import pytest
import torch

from bab.domains import SubproblemBatch


def batch(lowers, **data):
    lower = torch.tensor(lowers)
    return SubproblemBatch(lower, torch.zeros(len(lower), dtype=torch.int64), {"tag": torch.arange(len(lower)), **data})


def test_selection_takes_every_array_along():
    b = batch([3.0, 1.0, 2.0], x=torch.arange(6).reshape(3, 2))
    kept = b[b.lower < 2.5]
    assert len(kept) == 2
    assert kept.tag.tolist() == [1, 2] and kept.x.tolist() == [[2, 3], [4, 5]]
    assert b[torch.tensor([2, 2])].tag.tolist() == [2, 2]


def test_children_inherit_bound_and_go_deeper():
    b = batch([3.0, 1.0], x=torch.zeros(2))
    children = b.split({"x": torch.ones(2)}, {"x": -torch.ones(2)})
    assert children.lower.tolist() == [3.0, 1.0, 3.0, 1.0]
    assert children.depth.tolist() == [1] * 4
    assert children.x.tolist() == [1, 1, -1, -1]
    assert children.tag.tolist() == [0, 1, 0, 1]


def test_with_data_and_cat():
    b = batch([1.0]).with_data(lower=torch.tensor([5.0]), y=torch.tensor([7]))
    assert b.lower.tolist() == [5.0] and b.y.tolist() == [7]
    assert SubproblemBatch.cat([b, b]).y.tolist() == [7, 7]
    assert b.bytes == 4 + 8 + 8 + 8


def test_unknown_arrays_are_named():
    with pytest.raises(AttributeError, match="missing"):
        _ = batch([1.0]).missing
