"""Networks as today's exporters write them: imported, equal to torch and onnxruntime, proved and refuted."""

from __future__ import annotations

import pytest
import torch

import verify
from tests.verify.exported.networks import NETWORKS, Classifier, built, exported, quantised
from verify import Verdict
from verify.onnx_import import compare_with_onnxruntime, from_bytes, from_module, simplify
from verify.ops import Gelu, Product, Silu

EPS, SAMPLES, SECONDS = 0.01, 300, 60
NEWER = ("vision transformer", "torch transformer", "recurrent", "detector", "assorted")
"""Networks that the newer exporter writes in other ways than the older one; it takes seconds for each."""


def points(name: str, count: int) -> torch.Tensor:
    """(count, *shape), standard normal, the same ones for a name."""
    generator = torch.Generator().manual_seed(len(name) + 1)
    return torch.randn(count, *built(name).shape, generator=generator)


@pytest.mark.parametrize("name, dynamo", [*((name, False) for name in NETWORKS), *((name, True) for name in NEWER)])
def test_import_is_the_network(name, dynamo):
    network, module, x = from_bytes(exported(name, dynamo)), built(name).double(), points(name, 3)
    assert compare_with_onnxruntime(network, x) < 1e-5
    with torch.no_grad():
        wanted = torch.stack([module(point.double()) for point in x])
    found = network.graph.evaluate(x.double())
    assert found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert torch.allclose(simplify(network.graph).evaluate(x.double()), found, rtol=1e-9, atol=1e-9)


def deviation(name: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The outputs at x, and how far from them those of samples within `EPS` are."""
    module = built(name).double()
    noise = torch.rand(SAMPLES, *x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = module(x)
        seen = torch.stack([module(x + EPS * (2 * e - 1)) for e in noise])
    return y.flatten(), (seen - y).abs().amax(0).flatten()


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "recurrent"])
def test_proved_and_refuted(name):
    """Outputs stay within four times the distance that samples reach, and do not within half of it."""
    x = points(name, 1)[0].double()
    y, far = deviation(name, x)
    ends = (x - EPS).flatten(), (x + EPS).flatten()
    for factor, verdict in ((4.0, Verdict.VERIFIED), (0.5, Verdict.FALSIFIED)):
        room = factor * far + 1e-6
        result = verify.verify(exported(name, dynamo=False), verify.output_range(*ends, y - room, y + room),
                               timeout=SECONDS)
        assert result.verdict is verdict, result


def test_lstm_classifier_is_robust():
    x = points("recurrent", 1)[0]
    label = int(built("recurrent")(x).argmax())
    for answer, verdict in ((label, Verdict.VERIFIED), (1 - label, Verdict.FALSIFIED)):
        spec = verify.robustness(x, 0.003, answer, 2)
        assert verify.verify(exported("recurrent", dynamo=False), spec, timeout=SECONDS).verdict is verdict


def test_quantised_classifier_is_robust(tmp_path):
    data = quantised(tmp_path)
    x = torch.randn(Classifier.shape, generator=torch.Generator().manual_seed(3))
    network = from_bytes(data)
    assert compare_with_onnxruntime(network, x.unsqueeze(0)) < 1e-5
    label = int(network.graph.evaluate(x.double().unsqueeze(0)).argmax())
    for answer, verdict in ((label, Verdict.VERIFIED), ((label + 1) % 3, Verdict.FALSIFIED)):
        assert verify.verify(data, verify.robustness(x, 0.02, answer, 3), timeout=SECONDS).verdict is verdict


def test_activation_functions_are_one_curve():
    """However the exporter wrote them."""
    for dynamo in (False, True):
        ops = {type(node.op) for node in simplify(from_bytes(exported("detector", dynamo)).graph).nonlinear}
        assert Silu in ops and Product not in ops
        ops = [type(node.op) for node in simplify(from_bytes(exported("vision transformer", dynamo)).graph).nonlinear]
        assert ops.count(Gelu) == 1


def test_modules_are_verified_directly():
    module, x = built("normalised"), points("normalised", 1)[0]
    label = int(module(x).argmax())
    result = verify.verify(module, verify.robustness(x, 0.001, label, 3), example_input=x, timeout=SECONDS)
    assert result.verdict is Verdict.VERIFIED
    assert from_module(module, x).output_shape == (1, 3)
