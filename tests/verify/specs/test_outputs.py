"""What is wanted of the outputs: the unsafe sets of `verify.properties`."""

import numpy as np
import pytest

from verify.errors import InvalidInput, ShapeMismatch
from verify.specs.outputs import classified, not_confused, positive, within


def unsafe(wanted, y):
    return any(all(h.violated([], y) for h in disjunct) for disjunct in wanted(len(y)))


def test_what_is_unsafe():
    rng = np.random.default_rng(0)
    for y in rng.integers(-2, 3, (200, 3)).astype(float):
        assert unsafe(classified(1), y) == (y[1] <= max(y[0], y[2]))
        assert unsafe(not_confused(0, 2), y) == (y[0] <= y[2])
        assert unsafe(within([-1, -np.inf, -1], [1, 1, 1]), y) == (y.max() > 1 or y[0] < -1 or y[2] < -1)
        assert unsafe(positive([[1, 0, 0], [0, 1, 1]], [1, 2]), y) == (y[0] <= -1 or y[1] + y[2] <= -2)


def test_what_does_not_fit_is_named():
    with pytest.raises(InvalidInput, match="label 3 is out of range"):
        classified(3)(3)
    with pytest.raises(InvalidInput, match="they must differ"):
        not_confused(1, 1)(3)
    with pytest.raises(ShapeMismatch, match="the condition is about 2 outputs, the model has 3"):
        within([0, 0], [1, 1])(3)
