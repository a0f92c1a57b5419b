"""Attacks stay in the ball, find what a linear network hides, are seeded, and never claim a robust image."""

import pytest
import torch
from torch import nn

from training.attacks import KINDS, STANDARD, Attack, attack, attacked, checkpoints, dlr, inner_ball, margins
from verify.errors import InvalidInput


def linear(seed=0, classes=4, pixels=12):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, pixels, generator=generator)
    return (lambda x: x.flatten(1) @ weight.T), weight


def images(count=40, seed=1):
    return 0.2 + 0.6 * torch.rand(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_linear_network_every_attack_is_exact(kind):
    """The worst point for rival j is x + eps sign(w_j - w_y), and the margin there falls by eps |w_y - w_j|_1."""
    network, weight = linear()
    x, eps = images(), 0.05
    labels = network(x).argmax(1)
    scores = network(x)
    drop = eps * (weight[labels].unsqueeze(1) - weight).abs().sum(2)
    worst = scores.gather(1, labels[:, None]) - scores - drop
    truly = worst.scatter(1, labels[:, None], torch.inf).amin(1) > 0
    points = attack(network, x, labels, eps, Attack(kind, 30, 3), torch.Generator().manual_seed(0))
    found = margins(network(points), labels) > 0
    assert 5 < int(truly.sum()) < 35
    assert not bool((truly & ~found).any()), "an image that is robust"
    assert int((found & ~truly).sum()) <= 1
    assert bool(((points.double() - x.double()).abs() <= eps).all()) and bool((points >= 0).all())


def test_points_keep_to_the_ball_and_to_the_range_of_pixels():
    x = torch.tensor([0.0, 0.1, 0.5, 0.999, 1.0])
    low, high = inner_ball(x, 0.1)
    exact = x.double()
    assert bool((low.double() >= (exact - 0.1).clamp(min=0)).all())
    assert bool((high.double() <= (exact + 0.1).clamp(max=1)).all())
    low, high = inner_ball(x[1:], 1e-12)
    assert torch.equal(low, x[1:]) and torch.equal(high, x[1:])


def test_equal_seeds_give_equal_points():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4)).eval()
    x = images()
    labels = network(x).argmax(1)
    first, again, other = (attacked(network, x, labels, 0.05, batch=16, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_standard_attacks_are_at_least_as_strong_as_one_of_them():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 4)).eval()
    x = images(100)
    labels = network(x).argmax(1)
    alone = margins(network(attacked(network, x, labels, 0.03, STANDARD[:1])), labels) > 0
    together = margins(network(attacked(network, x, labels, 0.03)), labels) > 0
    assert not bool((together & ~alone).any())
    assert 0 < int(together.sum()) < 100


def test_misclassified_images_are_left_as_they_are():
    network, _ = linear()
    x = images(5)
    labels = (network(x).argmax(1) + 1) % 4
    assert torch.equal(attacked(network, x, labels, 0.1), x)
    assert attacked(network, x[:0], labels[:0], 0.1).shape == (0, 3, 2, 2)


def test_a_network_that_ignores_its_input_is_no_obstacle():
    x = images(3)
    points = attack(lambda z: torch.tensor([[1.0, 0, 0]]).expand(len(z), 3), x, torch.zeros(3, dtype=torch.long), 0.1,
                    Attack("apgd-ce", 5), torch.Generator().manual_seed(0))
    assert bool(((points - x).abs() <= 0.1).all())


def test_losses_by_hand():
    scores, labels = torch.tensor([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0]]), torch.tensor([0, 1])
    assert margins(scores, labels).tolist() == [1.0, 0.0]
    assert dlr(scores, labels).tolist() == pytest.approx([-0.5, 0.0])
    assert dlr(scores[:, :2], labels).tolist() == [-2.0, 0.0]


def test_checkpoints_of_the_paper():
    # p: 0, .22, .41, .57, .70, .80, .87, .93, .99 (appendix A of the paper, 100 steps)
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("wrong", [{"kind": "fgsm"}, {"steps": 0}, {"restarts": 0}, {"step": -1.0}])
def test_impossible_attacks_are_refused(wrong):
    with pytest.raises(InvalidInput):
        Attack(**wrong)
