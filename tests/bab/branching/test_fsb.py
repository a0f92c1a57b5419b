import torch

from bab.branching import best_candidate, candidates


def test_every_layer_sends_its_best_splittable_neuron():
    scores = torch.tensor([[5.0, 9.0, 1.0, 3.0]])
    free = torch.tensor([[True, False, True, True]])
    layers = torch.tensor([0, 0, 1, 1])
    assert candidates((scores,), free, layers, 2).tolist() == [[0, 3]]
    assert candidates((scores, -scores), free, layers, 4).tolist() == [[0, 0, 3, 2]]
    assert candidates((scores,), free, layers, 1).tolist() == [[0]]


def test_the_largest_product_of_gains_wins():
    """Children (active, inactive) of a domain at -1: neuron 0 (5, -9), neuron 1 (1, 1), neuron 2 (0, 2)."""
    table = {(0, 1): 5.0, (0, -1): -9.0, (1, 1): 1.0, (1, -1): 1.0, (2, 1): 0.0, (2, -1): 2.0}

    def bounds(domains, neurons, sign):
        return torch.tensor([table[int(k), sign] for k in neurons])

    picks = torch.tensor([[0, 1, 2], [2, 2, 0]])
    free = torch.ones(2, 3, dtype=torch.bool)
    assert best_candidate(picks, free, torch.full((2,), -1.0), bounds).tolist() == [1, 2]


def test_a_fixed_neuron_is_never_chosen_and_nan_comes_last():
    def bounds(domains, neurons, sign):
        return torch.where(neurons == 1, torch.nan, 0.0) if sign == 1 else torch.full((len(neurons),), 0.0)

    free = torch.tensor([[False, True, True]])
    assert best_candidate(torch.tensor([[0, 1, 2]]), free, torch.tensor([-1.0]), bounds).tolist() == [2]
