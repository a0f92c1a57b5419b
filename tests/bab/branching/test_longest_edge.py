import torch

from bab.branching import BoxView, longest_edge


def test_widths_relative_to_the_root():
    view = BoxView(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]), torch.tensor([1.0, 12.0]), torch.zeros(1, 1, 2),
                   torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))
    assert longest_edge(view).tolist() == [[1.0, 0.25]]
