"""Equal structure passes whatever the weights, names and order of nodes; every difference is named."""

import numpy as np
import pytest
from onnx import helper

from tests.verify.onnx_import.models import constant, model
from verify.errors import InvalidInput
from verify.onnx_import.isomorphism import check_isomorphic


def network(seed=0, prefix="", hidden=3, act="Relu", axis=1, swap=False, tied=False, shape=(-1,), dtype=np.float32,
            alpha=0.1) -> bytes:
    """x -> two branches of one layer each -> joined -> reshaped."""
    rng, p = np.random.default_rng(seed), prefix
    weights = [constant(p + name, rng.normal(size=(2, hidden)), dtype) for name in ("w", "v")]
    weights.append(constant(p + "shape", shape, np.int64))
    second = "w" if tied else "v"
    branches = [
        helper.make_node("MatMul", ["x", p + "w"], [p + "a"]), helper.make_node("MatMul", ["x", p + second], [p + "b"]),
        helper.make_node(act, [p + "b"], [p + "c"], **({"alpha": alpha} if act == "LeakyRelu" else {})),
    ]
    branches = [branches[1], branches[2], branches[0]] if swap else branches
    nodes = [*branches, helper.make_node("Concat", [p + "a", p + "c"], [p + "d"], axis=axis),
             helper.make_node("Reshape", [p + "d", p + "shape"], ["y"])]
    return model(nodes, (1, 2), weights).SerializeToString()


@pytest.mark.parametrize("other", [
    network(), network(seed=1), network(prefix="other/"), network(seed=2, swap=True, prefix="z"),
    network(dtype=np.float64),
])
def test_isomorphic(other):
    check_isomorphic(network(), other, ("f", "g"))


@pytest.mark.parametrize(("other", "message"), [
    (network(hidden=4), "'w' (weight (2, 3)) against 'w' (weight (2, 4))"),
    (network(act="Tanh"), "Relu"), (network(axis=0), "'d' (Concat"), (network(tied=True), "'v'"),
    (network(shape=(1, -1)), "'shape'"), (b"", "'y' (Identity"),
])
def test_differences_are_named(other, message):
    other = other or model([helper.make_node("Identity", ["x"], ["y"])], (1, 2)).SerializeToString()
    with pytest.raises(InvalidInput) as caught:
        check_isomorphic(network(), other, ("f", "g"))
    assert "f and g are not isomorphic" in str(caught.value) and message in str(caught.value)


def test_slopes_are_weights():
    check_isomorphic(network(act="LeakyRelu"), network(act="LeakyRelu", alpha=0.2), ("f", "g"))


def test_deep_networks():
    nodes = [helper.make_node("Relu", [f"h{k}" if k else "x"], [f"h{k + 1}"]) for k in range(3000)]
    nodes.append(helper.make_node("Identity", ["h3000"], ["y"]))
    deep = model(nodes, (1, 2)).SerializeToString()
    check_isomorphic(deep, deep, ("f", "g"))
