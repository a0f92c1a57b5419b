"""Values, bounds and gradients of live graphs, on networks with every supported layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from verify.bounds.crown import crown
from verify.bounds.walk import charges, forward
from verify.errors import InvalidInput
from verify.live import LiveNetwork
from verify.ops import Relu
from verify.relaxations import TRAINING
from verify.sets import Interval


class Residual(nn.Module):
    """A residual block, a concatenation, constants on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.4))
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding="same")
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4 * 2 * 2 * 2, 3)
        self.slope = nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1((x - self.mean) / 0.3)))
        y = self.relu(self.conv2(x)) + x
        y = torch.cat([F.avg_pool2d(y, 2), -F.avg_pool2d(y - 1.0, 2)], dim=1)
        y = y.view(y.size(0), -1)
        return 1 - self.slope * self.fc(y) - self.slope.exp()


class Grafted(nn.Module):
    """relu(z keep) + z s + t with trainable slopes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 6), nn.Linear(6, 3)
        self.act = nn.ReLU()
        self.register_buffer("mask", torch.tensor([1.0, 0, 0, 1, 0, 1]))
        self.a, self.b = nn.Parameter(torch.full((6,), 0.4)), nn.Parameter(torch.linspace(-1, 1, 6))

    def forward(self, x):
        z = self.first(x.flatten(1))
        return self.last(self.act(z * (1 - self.mask)) + z * (self.mask * self.a) + self.mask * self.b)


def plain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1, groups=1), nn.BatchNorm2d(3), nn.ReLU(),
                         nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5), nn.BatchNorm1d(5),
                         nn.ReLU(), nn.Identity(), nn.Linear(5, 3, bias=False))


NETWORKS = {"plain": (plain, (2, 4, 4)), "residual": (Residual, (2, 4, 4)), "grafted": (Grafted, (2, 2, 2))}


def network(name: str, dtype: torch.dtype = torch.float64) -> tuple[LiveNetwork, torch.Tensor]:
    """The network with running statistics that are not the initial ones, and four inputs."""
    make, shape = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = make().to(dtype)
        x = torch.rand(4, *shape, dtype=dtype)
        module.train()(torch.rand(16, *shape, dtype=dtype))
    return LiveNetwork(module.eval(), shape), x


def box(x: torch.Tensor, eps: float = 0.05) -> Interval:
    return Interval(x.unsqueeze(1) - eps, x.unsqueeze(1) + eps)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_the_module(name, fold):
    live, x = network(name)
    assert torch.allclose(live.graph(fold=fold).evaluate(x.unsqueeze(1)).squeeze(1), live.module(x), atol=1e-12)
    assert live.graph(detach=True, dtype=torch.float32).dtype == torch.float32
    assert not live.graph(detach=True).evaluate(x.unsqueeze(1)).requires_grad
    assert torch.allclose(live.traced(x), live.module(x))


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_values_with_batch_statistics(name):
    live, x = network(name)
    live.module.train()
    live.module.apply(lambda m: m.eval() if isinstance(m, nn.Dropout) else None)
    output, statistics = live.statistics(x)
    for fold in (False, True):
        graph = live.graph(statistics=statistics, fold=fold)
        assert torch.allclose(graph.evaluate(x.unsqueeze(1)).squeeze(1), output, atol=1e-12)
    assert not any(hook for module in live.module.modules() for hook in [len(module._forward_pre_hooks)])


@pytest.mark.parametrize("name", NETWORKS)
def test_bounds_enclose_samples(name):
    live, x = network(name)
    given = box(x)
    for fold in (False, True):
        graph = live.graph(fold=fold)
        low, bounds = crown(graph, given, relaxer=TRAINING)
        ibp = forward(graph, given, rounded=False)
        rigorous = forward(graph, given)
        for n in range(len(x)):
            points = given[n : n + 1].sample(64)
            values = graph.values(points, [node.name for node in graph.nodes])
            for key, value in values.items():
                for found in (bounds[key][n : n + 1], ibp[key][n : n + 1], rigorous[key][n : n + 1]):
                    assert bool((found.lower - 1e-9 <= value).all() and (value <= found.upper + 1e-9).all()), key
            assert bool((low[n] - 1e-9 <= values[graph.output].flatten(1)).all())


@pytest.mark.parametrize("name", NETWORKS)
def test_unrounded_bounds_are_the_rigorous_ones_up_to_rounding(name):
    live, x = network(name)
    graph, given = live.graph(detach=True), box(x)
    rigorous, plain_ibp = forward(graph, given), forward(graph, given, rounded=False)
    for key, found in plain_ibp.items():
        assert torch.allclose(found.lower, rigorous[key].lower, atol=1e-9)
        assert torch.allclose(found.upper, rigorous[key].upper, atol=1e-9)
    first = given[:1]
    one = crown(graph, first, charges=charges(graph, forward(graph, first)), intermediate="ibp")[0]
    other = crown(graph, first, relaxer=TRAINING, intermediate="ibp")[0]
    assert torch.allclose(one, other, atol=1e-9) and bool((one <= other).all())


@pytest.mark.parametrize("method", ["ibp", "crown-ibp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_equal_finite_differences(name, method):
    live, x = network(name)
    live.module.train()
    live.module.apply(lambda m: m.eval() if isinstance(m, nn.Dropout) else None)
    given = box(x)
    parameters = list(live.module.parameters())
    direction = [torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(5)) for p in parameters]

    def bound() -> torch.Tensor:
        graph = live.graph(statistics=live.statistics(x)[1], fold=True)
        if method == "ibp":
            return forward(graph, given, rounded=False)[graph.output].lower.sum()
        return crown(graph, given, relaxer=TRAINING, intermediate="ibp")[0].sum()

    bound().backward()
    slope = sum(float((p.grad * d).sum()) for p, d in zip(parameters, direction, strict=True) if p.grad is not None)
    step, ends = 1e-6, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p += sign * step * d
            ends.append(float(bound()))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)


def test_stopped_scales_have_no_gradient():
    live, x = network("plain")
    graph = live.graph(stop_scales=True)
    forward(graph, box(x), rounded=False)[graph.output].lower.sum().backward()
    assert live.module[1].weight.grad is None and live.module[0].weight.grad is not None


def test_names_of_relus_and_what_feeds_them():
    live, _ = network("plain")
    assert live.relus == ("2", "8") and live.batch_norm("2") is live.module[1] and live.before("2") == "_1"
    assert live.feeder("8") == ("7", live.module[7])
    live, _ = network("residual")
    assert live.relus == ("relu", "relu_1") and live.batch_norm("relu_1") is None
    assert live.feeder("relu_1") == ("conv2", live.module.conv2)
    live, _ = network("grafted")
    assert live.relus == ("act",) and live.feeder("act") is None
    with pytest.raises(InvalidInput, match="there is no ReLU 'nothing'; the network has act"):
        live.batch_norm("nothing")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_grafted_neuron_is_never_unstable(dtype):
    live, x = network("grafted", dtype)
    graph = live.graph(detach=True)
    pre = graph["act"].inputs[0]
    assert isinstance(graph["act"].op, Relu)
    for bounds in (forward(graph, box(x)), forward(graph, box(x), rounded=False)):
        assert bool((bounds[pre].lower[..., [0, 3, 5]] == 0).all() and (bounds[pre].upper[..., [0, 3, 5]] == 0).all())
        assert bool((bounds[pre].upper[..., [1, 2, 4]] > bounds[pre].lower[..., [1, 2, 4]]).all())


def test_parameters_are_read_anew():
    live, x = network("plain")
    with torch.no_grad():
        live.module[0].weight *= 2
    live.module.float()
    graph = live.graph()
    assert graph.dtype == torch.float32
    assert torch.allclose(graph.evaluate(x.float().unsqueeze(1)).squeeze(1), live.module(x.float()), atol=1e-5)


def test_a_normalisation_without_statistics_needs_those_of_a_batch():
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(InvalidInput, match=r"layer '1' \(BatchNorm1d\): has no running statistics"):
        LiveNetwork(module, (3,))
