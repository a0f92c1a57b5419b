"""Encodings: true points of the network are feasible, and the optima agree with enumeration."""

import numpy as np
import pytest
import torch

from tests.verify.lp.networks import evaluate, pattern_minimum, patterns, random_compact, true_minimum
from verify.errors import BrokenInvariant, UnsupportedOperator
from verify.lp.backend import free_backend
from verify.lp.encode import encode, row_interval
from verify.lp.model import LinearProgram, SolveStatus
from verify.ops import Reshape, Sigmoid, Tanh


def network_point(compact, x):
    """v at x, and the pre-activations."""
    v, zs = torch.from_numpy(x), []
    for layer in compact.layers:
        z = layer.weight.double() @ v + layer.bias.double()
        v, zs = torch.cat([v, layer.op.evaluate(z)]), [*zs, z]
    return v.numpy(), torch.cat(zs).numpy()


def holds(program: LinearProgram, point: np.ndarray, slack: float) -> bool:
    values = program.matrix @ point
    rows = (program.row_lower - slack <= values) & (values <= program.row_upper + slack)
    columns = (program.col_lower - slack <= point) & (point <= program.col_upper + slack)
    return bool(rows.all() and columns.all())


@pytest.mark.parametrize("op", [None, Sigmoid(), Tanh()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_network_point_is_feasible(op, dtype):
    rng = np.random.default_rng(0)
    for seed in range(10):
        compact = random_compact(seed, op=op, dtype=dtype)
        for x in rng.uniform(-1, 1, (20, 2)):
            v, z = network_point(compact, x)
            t = evaluate(compact, x).max()
            assert holds(encode(compact, [0, 1]), np.r_[v, t], 1e-12)
            if op is None:
                signs = np.where(z > 0, 1, -1).astype(np.int8)
                assert holds(encode(compact, [0, 1], signs), np.r_[v, t], 1e-12)
                binary = encode(compact, [0, 1], integers=np.ones(6, dtype=bool))
                assert holds(binary, np.r_[v, t, signs > 0], 1e-12)


def test_elastic_form_holds_every_network_point_for_any_signs():
    rng = np.random.default_rng(1)
    for seed in range(5):
        compact = random_compact(seed)
        for signs in patterns(compact):
            v, _ = network_point(compact, rng.uniform(-1, 1, 2))
            assert holds(encode(compact, [0, 1], signs, elastic=True), np.r_[v, 1.0], 1e-12)


def test_fixed_patterns_are_exact_and_the_relaxation_is_below():
    backend = free_backend()
    for seed in range(6):
        compact = random_compact(seed)
        relaxed = backend.lp(encode(compact, [0, 1]), 10.0)
        assert relaxed.value <= true_minimum(compact, [0, 1]) + 1e-8
        for signs in patterns(compact):
            truth = pattern_minimum(compact, [0, 1], signs)
            answer = backend.lp(encode(compact, [0, 1], signs), 10.0)
            if np.isinf(truth):
                assert answer.status is SolveStatus.INFEASIBLE
                assert backend.lp(encode(compact, [0, 1], signs, elastic=True), 10.0).value > 0
            else:
                assert answer.value == pytest.approx(truth, abs=1e-6)


def test_triangle_by_hand():
    # One neuron z = x on [-1, 1], h = 0.25 - y: largest y at x = 1 is 1, so min h = -0.75.
    compact = random_compact(0, sizes=(1,), inputs=1, rows=1)
    layer = compact.layers[0]
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    layer = type(layer)("z", layer.op, layer.neurons, 1, one[None], zero, zero, -one, one)
    compact = type(compact)(
        compact.varying, -one, one, (layer,), torch.tensor([[0.0, -1.0]], dtype=torch.float64), 0.25 * one, zero
    )
    program = encode(compact, [0])
    assert free_backend().lp(program, 5.0).value == pytest.approx(-0.75)
    # h = y - 0.5 x: the relaxation reaches y = (x + 1)/2 above and max(0, x) below; its minimum is -0.0 at x = 0.
    tilted = type(compact)(
        compact.varying, -one, one, (layer,), torch.tensor([[-0.5, 1.0]], dtype=torch.float64), zero, zero
    )
    assert free_backend().lp(encode(tilted, [0]), 5.0).value == pytest.approx(0.0, abs=1e-9)


def test_errors_widen_the_program():
    backend = free_backend()
    for seed in range(5):
        sharp = backend.lp(encode(random_compact(seed), [0]), 5.0).value
        assert backend.lp(encode(random_compact(seed, error=0.1), [0]), 5.0).value <= sharp + 1e-9


def test_row_interval_encloses_samples():
    rng = np.random.default_rng(2)
    for seed in range(10):
        compact = random_compact(seed, dtype=torch.float32)
        lower, upper = row_interval(compact, [0, 1])
        for x in rng.uniform(-1, 1, (20, 2)):
            h = evaluate(compact, x)
            assert (lower <= h).all() and (h <= upper).all()


def test_bad_input_is_refused_by_name():
    compact = random_compact(0)
    with pytest.raises(BrokenInvariant, match="one entry per unstable neuron"):
        encode(compact, [0], np.zeros(3, dtype=np.int8))
    layer = compact.layers[0]
    for field, value in (("lower", torch.zeros(3).double()), ("upper", torch.full((3,), float("nan")).double())):
        broken = type(layer)(**{**vars(layer), field: value})
        with pytest.raises(BrokenInvariant):
            encode(type(compact)(**{**fields(compact), "layers": (broken, compact.layers[1])}), [0])
    other = type(layer)(**{**vars(layer), "op": Reshape((3,))})
    with pytest.raises(UnsupportedOperator, match="layer0"):
        encode(type(compact)(**{**fields(compact), "layers": (other, compact.layers[1])}), [0])
    with pytest.raises(BrokenInvariant, match="only ReLU"):
        encode(random_compact(0, op=Tanh()), [0], np.ones(6, dtype=np.int8))


def fields(value) -> dict:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}
