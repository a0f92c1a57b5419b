import numpy as np
import pytest
import torch
from torch import nn

import verify
from verify.api import verify as decide
from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.onnx_import.module import from_module
from verify.result import Reason, Verdict

FOUR = ([-1, -1], [1, 1])


def absolute_sum() -> nn.Module:
    """|x1| + |x2|: values in [0, 2] on [-1, 1]^2, by four ReLUs."""
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
        net[2].weight.fill_(1)
        net[0].bias.zero_()
        net[2].bias.zero_()
    return net


def below(limit: float):
    return verify.output_range(*FOUR, [-np.inf], [limit])


def test_a_module_that_holds_and_one_that_does_not():
    assert decide(absolute_sum(), below(2.01)).verdict is Verdict.VERIFIED
    broken = decide(absolute_sum(), below(1.9))
    assert broken.verdict is Verdict.FALSIFIED
    assert abs(broken.witness.x).sum() > 1.9 and broken.witness.y[0] > 1.9


def test_path_bytes_and_module_agree(tmp_path):
    data = from_module(absolute_sum(), torch.zeros(1, 2)).onnx
    path, prop = tmp_path / "net.onnx", tmp_path / "p.vnnlib"
    path.write_bytes(data)
    declared = "".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0"))
    bounded = "".join(f"(assert (>= X_{k} -1.0))(assert (<= X_{k} 1.0))" for k in range(2))
    prop.write_text(declared + bounded + "(assert (>= Y_0 2.01))")
    for model in (path, str(path), data, absolute_sum()):
        for spec in (prop, str(prop), below(2.01)):
            assert decide(model, spec, timeout=60).verdict is Verdict.VERIFIED


def test_the_package_offers_it_by_name():
    assert verify.verify is decide


def test_the_module_is_left_as_it_was():
    net = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 1)).train()
    before = [p.clone() for p in net.parameters()]
    decide(net, below(100.0))
    assert net.training and net[1].training
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_example_input_gives_the_shape():
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1))
    spec = verify.output_range([0] * 4, [1] * 4, [-np.inf], [1e3])
    assert decide(net, spec, example_input=torch.zeros(1, 1, 2, 2)).verdict is Verdict.VERIFIED


@pytest.mark.parametrize("method", ["ibp", "crown", "alpha-crown", "bab", "milp"])
def test_every_method_by_name(method):
    assert decide(absolute_sum(), below(4.5), method=method).verdict is Verdict.VERIFIED


def test_a_tiny_time_limit_is_a_timeout():
    result = decide(absolute_sum(), below(2.0000001), method="bab", timeout=1e-9)
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.TIMEOUT


@pytest.mark.parametrize(("arguments", "message"), [
    ({"timeout": 0}, "timeout"), ({"timeout": float("nan")}, "timeout"), ({"dtype": "float16"}, "float16"),
    ({"method": "guess"}, "portfolio"), ({"device": "cuda:9000"}, "cuda|CUDA"),
])
def test_bad_options_are_named(arguments, message):
    if "device" in arguments and torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(InvalidInput, match=message):
        decide(absolute_sum(), below(2.01), **arguments)


def test_bad_models_and_properties_are_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"missing\.onnx"):
        decide(tmp_path / "missing.onnx", below(1.0))
    with pytest.raises(InvalidInput, match=r"missing\.vnnlib"):
        decide(absolute_sum(), tmp_path / "missing.vnnlib")
    with pytest.raises(InvalidInput, match="ONNX"):
        decide(b"no model", below(1.0))
    with pytest.raises(InvalidInput, match="int"):
        decide(3, below(1.0))
    with pytest.raises(InvalidInput, match="list"):
        decide(absolute_sum(), [1, 2])
    with pytest.raises(InvalidInput, match="example_input"):
        decide(b"", below(1.0), example_input=torch.zeros(1, 2))
    with pytest.raises(ShapeMismatch, match="3 outputs"):
        decide(absolute_sum(), verify.robustness([0, 0], 0.1, 0, 3))
    with pytest.raises((UnsupportedOperator, ShapeMismatch)):
        decide(absolute_sum(), verify.robustness([0, 0, 0], 0.1, 0, 2))


def test_modules_by_the_names_of_a_statement():
    f = verify.network("f", {"X": (1, 2)}, {"Y": (1, 1)})
    g = verify.network("g", {"U": (1, 2)}, {"V": (1, 1)})
    x, y, u, v = f["X"], f["Y"], g["U"], g["V"]
    apart = verify.spec([f, g], (x >= -1) & (x <= 1), u[0, 0] == x[0, 0], u[0, 1] == x[0, 1], v[0, 0] > y[0, 0] + 0.51)
    larger = absolute_sum()
    with torch.no_grad():
        larger[2].bias.fill_(0.5)
    assert decide({"f": absolute_sum(), "g": larger}, apart, timeout=60).verdict is Verdict.VERIFIED
    with pytest.raises(InvalidInput, match="no model is given for the network g"):
        decide({"f": absolute_sum()}, apart)
    with pytest.raises(InvalidInput, match=r"2 networks with models of their own \(f, g\)"):
        decide(absolute_sum(), apart)
    assert decide({"any": absolute_sum()}, below(2.01)).verdict is Verdict.VERIFIED
