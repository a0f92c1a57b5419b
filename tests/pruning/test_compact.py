"""The smaller network is the masked one: hand-made cases, all architectures, and random networks."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from torch import nn

from pruning.channels import analyse, rebuilt, trace
from pruning.compact import compact, compared, masked
from pruning.operations import rules_of
from tests.pruning.networks import Branches, Residual, random_network, zero_at_random
from training.export import export_onnx
from training.models import build
from verify.bounds.crown import crown
from verify.errors import InvalidInput, ShapeMismatch
from verify.live import LiveNetwork
from verify.onnx_import import load_network, simplify
from verify.sets import Interval

EXACT = 1e-10


def sizes(module: nn.Module) -> dict[str, int]:
    return {name: part.weight.shape[0] for name, part in module.named_modules()
            if isinstance(part, (nn.Conv2d, nn.Linear))}


def marks(size: int, *gone: int) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[list(gone)] = True
    return mask


def check(module: nn.Module, shape, removed=None) -> nn.Module:
    """Compacts, compares with the masked network on a batch, and returns the smaller one."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    small = compact(module, shape, removed)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items()), "left as it was"
    found = compared(masked(module, removed or {}), small, shape)
    assert found.difference < EXACT, found
    assert all(size.after <= size.before for size in found.layers)
    assert set(dict(small.named_parameters())) <= {*dict(module.named_parameters()), *(
        f"{name}.bias" for name in sizes(module))}
    assert sizes(compact(small, shape)) == sizes(small), "nothing is left to remove"
    return small


def test_by_hand():
    """Two of three neurons: the second is constantly relu(0.5), the third is read by nobody."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1, 2], [0, 0], [3, 4]]))
        net[0].bias.copy_(torch.tensor([0.1, 0.5, 0.2]))
        net[2].weight.copy_(torch.tensor([[5, 6, 0]]))
        net[2].bias.fill_(0.25)
    small = check(net, (2,))
    assert torch.equal(small.get_parameter("0.weight"), torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    assert small.get_parameter("2.weight").tolist() == [[5.0]] and small.get_parameter("2.bias").tolist() == [3.25]
    assert small.get_submodule("0").out_features == 1 and small.meta["input_shape"] == (2,)


def test_channels_blocks_and_neurons_shrink_as_expected():
    net = build("cnn-tiny", (3, 16, 16), 10, [0.4, 0.5, 0.6], [0.2, 0.2, 0.3])
    removed = {"conv1": marks(8, 0, 3), "conv2": marks(16, 1, 2, 15), "fc1": marks(64, *range(9))}
    small = check(net, (3, 16, 16), removed)
    assert sizes(small) == {"conv1": 6, "conv2": 13, "fc1": 55, "fc2": 10}
    assert small.get_parameter("conv2.weight").shape == (13, 6, 4, 4)
    assert small.get_parameter("fc1.weight").shape == (55, 13 * 16)
    assert small.get_submodule("bn1").num_features == 6 and small.get_buffer("bn2.running_var").shape == (13,)
    assert small.get_buffer("normalize.mean").shape == (3, 1, 1)
    assert all(p.dtype == torch.float32 and p.requires_grad for p in small.parameters())
    assert isinstance(small.get_submodule("relu1"), nn.ReLU)


@pytest.mark.parametrize("arch", ["mlp-2x20", "cnn-a", "cnn-tiny", "resnet-2b", "resnet-4b", "pruning-7"])
def test_architectures(arch):
    net = build(arch, (3, 16, 16), 10, [0.4, 0.5, 0.6], [0.2, 0.2, 0.3])
    generator = torch.Generator().manual_seed(0)
    removed = {name: torch.rand(size, generator=generator) < 0.5 for name, size in list(sizes(net).items())[:-1]}
    small = check(net, (3, 16, 16), removed)
    if not arch.startswith("resnet"):
        assert sizes(small) == {name: int((~removed[name]).sum()) if name in removed else 10 for name in sizes(net)}
    inner = [name for name in removed if name.endswith("block1.conv1") or name == "fc1"]
    assert all(sizes(small)[name] == int((~removed[name]).sum()) for name in inner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(small.eval(), (torch.zeros(1, 3, 16, 16),), io.BytesIO(), opset_version=17, dynamo=False)


@pytest.mark.parametrize("arch", ["cnn-tiny", "resnet-2b"])
def test_bounds_of_masked_smaller_and_exported_network_agree(arch, tmp_path):
    net = build(arch, (3, 16, 16), 10, [0.4, 0.5, 0.6], [0.2, 0.2, 0.3]).eval()
    removed = {name: torch.arange(size) % 2 == 0 for name, size in list(sizes(net).items())[:-1]}
    small = compact(net, (3, 16, 16), removed)
    done = export_onnx(small, (3, 16, 16), tmp_path / "small.onnx")
    assert done.max_difference < 1e-4
    graphs = [LiveNetwork(masked(net, removed), (3, 16, 16)).graph(detach=True, dtype=torch.float64),
              LiveNetwork(small, (3, 16, 16)).graph(detach=True, dtype=torch.float64),
              simplify(load_network(done.path).graph)]
    x = torch.rand(1, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lower = [crown(graph, Interval(x - 0.01, x + 0.01))[0] for graph in graphs]
    assert torch.allclose(lower[0], lower[1], atol=1e-8) and torch.allclose(lower[1], lower[2], atol=1e-4)


def dead_channel(padding: int, constant: float) -> nn.Sequential:
    """A convolution whose channel 1 is the constant, read by a convolution with that padding."""
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=padding), nn.Flatten(),
                        nn.Linear(2 * (6 + 2 * padding) ** 2, 2)).double()
    with torch.no_grad():
        net[0].weight[1], net[0].bias[1] = 0, constant
    return net


@pytest.mark.parametrize(("padding", "constant", "left"), [(0, 0.7, 2), (1, 0.7, 3), (1, 0.0, 2), (1, -0.7, 2)])
def test_a_constant_next_to_zero_padding_stays(padding, constant, left):
    """0.7 cannot go into the bias behind it when border pixels see zeros instead; without padding it can."""
    assert sizes(check(dead_channel(padding, constant), (1, 8, 8)))["0"] == left


def test_residual_sums_keep_the_union():
    body = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 3, padding=1))
    net = nn.Sequential(Residual(body, nn.Conv2d(2, 4, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
    removed = {"0.body.0": marks(5, 0, 4), "0.body.2": marks(4, 0, 1), "0.shortcut": marks(4, 1, 2)}
    small = check(net, (2, 8, 8), removed)
    assert sizes(small) == {"0.body.0": 3, "0.body.2": 3, "0.shortcut": 3, "3": 3}, "channel 1 is gone on both sides"


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_a_constant_branch_becomes_a_constant(bias):
    """The whole body is removed; what its last layer adds stays, per position."""
    body = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 2, 3, padding=1))
    net = nn.Sequential(Residual(body, nn.Identity()), nn.Flatten(), nn.Linear(128, 3)).double()
    with torch.no_grad():
        net[0].body[0].weight.zero_()
        net[0].body[0].bias.fill_(0.2)
        net[0].body[2].bias.zero_()
        net[0].body[2].weight.mul_(bias)
    small = check(net, (2, 8, 8))
    assert sizes(small) == {"2": 3}
    assert sum(b.numel() for b in small.buffers()) == (128 if bias else 0)


@pytest.mark.parametrize("constant", [0.0, 0.4])
def test_a_difference_keeps_its_sign_when_the_left_side_is_constant(constant):
    net = nn.Sequential(Residual(nn.Linear(4, 4), nn.Linear(4, 4), minus=True), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        net[0].shortcut.weight.zero_()
        net[0].shortcut.bias.fill_(constant)
    assert sizes(check(net, (4,))) == {"0.body": 4, "2": 2}


def test_a_layer_that_is_still_read_keeps_one_channel():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    small = check(net, (4,), {"2": marks(5, *range(5))})
    assert sizes(small) == {"0": 1, "2": 1, "4": 2}
    assert torch.allclose(small(torch.rand(3, 4)), net[4].bias.expand(3, 2))


def test_concatenations_lose_whole_branches():
    net = nn.Sequential(Branches(nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 1), nn.Identity()), nn.ReLU(), nn.Flatten(),
                        nn.Linear(9 * 16, 3))
    small = check(net, (2, 4, 4), {"0.branches.0": marks(3, 0, 1, 2), "0.branches.1": marks(4, 2)})
    assert sizes(small) == {"0.branches.1": 3, "3": 3}
    assert small.get_parameter("3.weight").shape == (3, 5 * 16)


def test_zeros_inside_used_rows_change_nothing():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        net[0].weight[:, 0] = 0
        net[2].weight[1] = 0
    assert sizes(check(net, (4,))) == {"0": 6, "2": 3}
    with torch.no_grad():
        net[2].weight[:, 2:4] = 0
    assert sizes(check(net, (4,))) == {"0": 4, "2": 3}, "neurons that nothing reads"


def test_random_networks_are_worth_comparing():
    """Most of them depend on their input after zeroing, so that a wrong channel shows."""
    spreads = []
    for seed in range(12):
        net, shape = random_network(seed)
        zero_at_random(net, "channels")
        spreads.append(net(torch.randn(20, *shape, dtype=torch.float64)).std(0).max().item())
    assert sum(spread > 0.05 for spread in spreads) >= 9, spreads


@pytest.mark.parametrize("kind", ["channels", "rows", "weights", "layer"])
@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed, kind):
    net, shape = random_network(seed)
    zero_at_random(net, kind)
    small = check(net, shape)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (net, small))
    assert after <= before and (kind != "channels" or after < before)


def test_what_is_declared_zero_need_not_be_zero():
    """`analyse(zero=...)`: the caller knows more than the weights say."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    traced = trace(net)
    relu = next(node.name for node in traced.graph.nodes if node.target == "1")
    small = rebuilt(analyse(traced, rules_of(traced, (2,)), {relu: marks(3, 1)}))
    assert torch.allclose(small(torch.ones(1, 2).double()), masked(net, {"0": marks(3, 1)})(torch.ones(1, 2).double()))
    assert sizes(small)["0"] == 2


def test_comparison_counts():
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    found = compared(net, compact(net, (4,), {"0": marks(6, 0)}), (4,))
    assert found.difference > 1e-3 and found.parameters == (51, 43) and found.remaining == 43 / 51
    assert [(size.name, size.before, size.after) for size in found.layers] == [("0", 6, 5), ("2", 3, 3)]


def test_refusals():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    with pytest.raises(InvalidInput, match="no convolution or linear layer '9'; there are 0, 2"):
        compact(net, (4,), {"9": marks(6, 0)})
    with pytest.raises(ShapeMismatch, match="'0' needs 6 booleans"):
        compact(net, (4,), {"0": marks(5, 0)})
    with pytest.raises(ShapeMismatch, match=r"does not take inputs of shape \[5\]"):
        compact(net, (5,))
    plain = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False), nn.Linear(6, 3))
    with pytest.raises(InvalidInput, match="channels of '0' cannot be switched off: batch normalisation '1'"):
        masked(plain, {"0": marks(6, 0)})
