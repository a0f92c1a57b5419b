"""Affine families of inputs, against sampling of their parameters."""

import numpy as np
import pytest

from tests.verify.specs.models import check, classes, dense, label
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.result import Verdict

X0 = np.array([0.3, -0.2, 0.7])
BASIS = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 0.1]])


@pytest.mark.parametrize("clip", [None, (-0.5, 0.75)])
@pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agree_with_samples(seed, size, clip):
    net, rng = dense(3, 8, 2, seed=seed), np.random.default_rng(seed)
    points = X0 + rng.uniform(-size, size, (5000, 2)) @ BASIS
    points = points if clip is None else points.clip(*clip)
    truth = label(net, X0)
    unsafe = classes(net, points) != truth
    question = specs.ask(net.float(), specs.affine(X0, BASIS, [(-size, size)] * 2, clip), specs.classified(truth))
    result = check(question, unsafe)
    assert result.verdict is not Verdict.UNKNOWN and not (unsafe.any() and result.verdict is Verdict.VERIFIED)
    if result.witness is not None:
        p = result.witness.x
        assert (np.abs(p) <= size).all()
        expected = X0 + p @ BASIS
        np.testing.assert_allclose(question.point(result.witness)[0],
                                   expected if clip is None else expected.clip(*clip), atol=1e-6)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((X0, BASIS[:, :2], [(0, 1)] * 2), ShapeMismatch, r"basis has shape \[2, 2\], expected"),
    ((X0, BASIS, [(0, 1)]), ShapeMismatch, "basis has 2 vectors but there are bounds of 1 parameters"),
    ((X0, BASIS, [(0, 1), (1, 0)]), InvalidInput, r"bounds\[1\] must be \(low, high\) with low <= high"),
    ((X0, BASIS, [(0, 1), 1.0]), InvalidInput, r"bounds\[1\] must be a pair"),
    ((X0 * np.inf, BASIS, [(0, 1)] * 2), InvalidInput, r"x0\[0\] must be a finite number"),
])
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        specs.affine(*arguments)
