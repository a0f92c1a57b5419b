"""Which rule an operation follows, and refusals that name it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruning.channels import analyse, rebuilt, trace
from pruning.compact import compact
from pruning.operations import rules_of
from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator


class Written(nn.Module):
    """Functions and methods instead of modules."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Linear(8, 2)
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1))
        self.gain = nn.Parameter(torch.tensor([1.0, 0.0, 2.0, 3.0]).reshape(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = (1 - (x - self.mean)) / 2
        y = F.relu(self.a(x)) * self.gain
        y += self.b(y.relu())
        y = torch.cat((F.max_pool2d(y, 2), -F.avg_pool2d(y, 2)), dim=1)
        return self.head(y.mean((2, 3)).clone())


def test_functions_and_methods():
    net = Written().double()
    with torch.no_grad():
        net.b.weight[1], net.b.bias[1] = 0, 0
    small = compact(net, (3, 8, 8))
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(small(x), net(x), atol=1e-12)
    assert small.get_parameter("a.weight").shape[0] == 3 and small.get_parameter("gain").shape == (3, 1, 1)
    assert small.get_buffer("mean").shape == (1, 3, 1, 1) and small.get_parameter("head.weight").shape == (2, 6)


class Shapes(nn.Module):
    """Reshapes with sizes written out, and around the channels."""

    def forward(self, x):
        y = x.view(-1, 4, 2, 3).permute(0, 3, 1, 2).reshape(x.size(0), 3, 8)
        return torch.flatten(y.unsqueeze(1).squeeze(1), 1)


def test_reshapes():
    net = nn.Sequential(nn.Unflatten(1, (4, 6)), Shapes(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    with torch.no_grad():
        net[2].weight[1], net[2].bias[1] = 0, 0
    small = compact(net, (24,))
    x = torch.randn(5, 24, dtype=torch.float64)
    assert torch.allclose(small(x), net(x), atol=1e-12) and small.get_parameter("2.weight").shape == (4, 24)


def test_a_joined_constant_survives_where_it_is_needed():
    class Joined(nn.Module):
        def forward(self, x):
            return torch.cat([x, torch.tensor([[1.0, 2.0]])], 1)

    traced = trace(Joined())
    small = rebuilt(analyse(traced, rules_of(traced, (2,)), {}))
    assert small(torch.zeros(3, 2)).tolist() == [[0, 0, 1, 2]] * 3


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x))


REFUSED = {
    r"layer '0' \(Conv2d, groups=2\)": (nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)), (4, 3, 3)),
    r"layer '0' \(LayerNorm\)": (nn.Sequential(nn.LayerNorm(4)), (4,)),
    r"layer '0' \(BatchNorm1d without running statistics\)": (
        nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), (4,)),
    r"layer '0' \(ConvTranspose2d\)": (nn.Sequential(nn.ConvTranspose2d(4, 4, 1)), (4, 3, 3)),
    r"layer '0' \(Linear\)": (nn.Sequential(nn.Linear(4, 4)), (3, 4)),
    r"layer 'layer' \(Linear, used 2 times\)": (Twice(), (4,)),
    r"layer 'mul' \(mul of two values that depend on the input\)": (Function(lambda x: x * x), (4,)),
    r"layer 'truediv' \(truediv by a value": (Function(lambda x: 1 / x), (4,)),
    r"layer 'add' \(add which makes several channels of one\)": (Function(lambda x: x + torch.ones(3)), (1,)),
    r"layer 'add' \(add with a constant of shape \[2, 4\]": (Function(lambda x: x + torch.ones(2, 4)), (4,)),
    r"layer 'cat' \(cat along axis 2, not the channels\)": (Function(lambda x: torch.cat([x, x], 2)), (4, 3)),
    r"layer 'softmax' \(softmax\)": (Function(lambda x: x.softmax(1)), (4,)),
    r"layer 'mean' \(mean\)": (Function(lambda x: x.mean(1, keepdim=True)), (4,)),
    r"layer 'chunk' \(chunk, no tensor": (Function(lambda x: x.chunk(2, 1)[0]), (4,)),
    r"layer 'max_pool2d_with_indices' \(max_pool2d_with_indices, no tensor": (
        Function(lambda x: F.max_pool2d(x, 2, return_indices=True)[0]), (1, 4, 4)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_name_layer_and_kind(message):
    module, shape = REFUSED[message]
    with pytest.raises(UnsupportedOperator, match=message) as found:
        rules_of(trace(module), shape)
    assert "accepted are Linear, Conv2d (groups=1)" in str(found.value)


def test_other_refusals():
    with pytest.raises(InvalidInput, match="does not depend on its input"):
        rules_of(trace(Function(lambda x: torch.ones(2, 3))), (4,))
    with pytest.raises(UnsupportedOperator, match="returns several values"):
        rules_of(trace(Function(lambda x: (x, x + 1))), (4,))
    with pytest.raises(ShapeMismatch, match=r"does not take inputs of shape \[3\]"):
        rules_of(trace(nn.Sequential(nn.Linear(4, 2))), (3,))
