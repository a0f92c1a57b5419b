import numpy as np
import pytest

from tests.verify.pairs.toys import exact_largest, layers, moved, network, unit_box
from verify.pairs.network import pair
from verify.pairs.seen import Meter, widest
from verify.query import InputBox


@pytest.mark.parametrize("seed", range(4))
def test_the_widest_point_of_tiny_pairs(seed):
    """Gradient ascent comes close to the exact largest difference and never above it."""
    first = layers(seed)
    second = moved(first, seed)
    largest = float(exact_largest(first, second))
    seen = widest(Meter(pair(network(first), network(second)), unit_box()))
    assert 0.97 * largest <= seen.largest <= largest
    assert seen.x.dtype == np.float32 and abs(float(seen.x[0])) <= 1
    assert np.allclose(seen.real, seen.executed, atol=1e-6)


def test_what_is_not_exact_is_measured_on_the_runtime():
    first = layers(1)
    both = pair(network(first, "Tanh"), network(moved(first, 1), "Tanh"))
    seen = widest(Meter(both, unit_box()))
    assert seen.real is None and seen.largest == seen.executed.max() > 0


def test_a_box_without_a_number_of_the_type_shows_nothing():
    first = layers(1)
    third = np.array([1 / 3])
    meter = Meter(pair(network(first), network(moved(first, 1))), InputBox.from_floats(third, third))
    assert widest(meter) is None
