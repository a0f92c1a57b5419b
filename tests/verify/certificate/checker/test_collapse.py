"""Collapsed networks: a small one by hand, what is charged, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.certificate.checker import laws
from verify.certificate.checker.arithmetic import ARITHMETICS, Exact, Float64
from verify.certificate.checker.call import Step
from verify.certificate.checker.collapse import NEAR_ZERO, Collapser, FloatRows, depends, float32_noise, unstable
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import Network
from verify.certificate.checker.ops import Conv, Dense, Input, Relu, Scale, Smooth, Sum, Take

BOX = np.array([-1.0, -1.0]), np.array([1.0, 1.0])


def network(*ops) -> Network:
    """A chain of (op, size) behind an input of two entries."""
    steps = [Step("x", Input(), (), (1, 2))]
    for op, size in ops:
        steps.append(Step(f"step {len(steps)}", op, (len(steps) - 1,), (1, size)))
    return Network(tuple(steps), "float32", 13)


def small() -> Network:
    """y = relu(x1 + x2) + relu(x1 - x2) + 2 relu(x1 + 3) - relu(x2 - 5)"""
    weight = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    return network((Dense(weight, np.array([0.0, 0.0, 3.0, -5.0])), 4), (Relu(), 4),
                   (Dense(np.array([[1.0, 1.0, 2.0, -1.0]])), 1))


def rows(y, x=None, constant=0.0) -> FloatRows:
    y = np.array([y], dtype=np.float64)
    x = np.zeros((1, 2)) if x is None else np.array([x], dtype=np.float64)
    return FloatRows(y, x, np.array([constant]), 0 * y, 0 * x, np.zeros(1))


@pytest.mark.parametrize("arithmetic", ARITHMETICS.values())
def test_by_hand(arithmetic):
    net = Collapser(small(), *BOX, arithmetic, False).finish(rows([1.0], [0.5, 0.0], 0.25))
    layer, = net.layers
    assert layer.neurons.tolist() == [0, 1] and (layer.order, layer.start, net.width) == (0, 2, 4)
    assert np.allclose(layer.lower, -2, atol=1e-12) and (layer.lower <= -2).all() and (layer.upper >= 2).all()
    weight, bias = arithmetic.below(net.weight), arithmetic.below(net.bias)
    # relu(x1 + 3) is x1 + 3, relu(x2 - 5) is 0.
    assert weight.tolist() == [[2.5, 0.0, 1.0, 1.0]] and bias.tolist() == [6.25]
    assert arithmetic.below(layer.weight).tolist() == [[1, 1], [1, -1]]
    assert 0 < net.error[0] < (2.0**-700 if arithmetic.exact else 1e-13)


def test_neurons_near_zero_stay_and_nan_makes_none_stable():
    low = np.array([-1.0, NEAR_ZERO / 2, NEAR_ZERO, 1.0, -2.0, -2.0, np.nan, np.nan, 0.0])
    high = np.array([1.0, 1.0, 1.0, 2.0, -NEAR_ZERO, -NEAR_ZERO / 2, np.nan, 1.0, 0.0])
    assert unstable(low, high).tolist() == [True, True, False, False, False, True, True, True, True]


def test_random_networks_are_enclosed():
    for seed in range(24):
        rng = np.random.default_rng(seed)
        net, float32 = laws.random_network(rng, "tanh" if seed % 3 == 2 else "relu", 8.0 * (seed % 4)), seed % 2 == 1
        center = rng.standard_normal(net.input_shape[1])
        low, high = center - rng.choice([0.0, 1e-9, 1.0]), center + 0.5
        count = net.output_shape[1]
        asked = FloatRows(np.eye(count), np.ones((count, low.size)), np.ones(count), *(3 * [np.zeros((count, 0))]))
        asked = replace(asked, y_error=0 * asked.y, x_error=0 * asked.x, constant_error=np.zeros(count))
        for arithmetic in ARITHMETICS.values():
            found = Collapser(net, low, high, arithmetic, float32 or seed % 3 == 2).finish(asked)
            for x in laws.random_points(rng, low, high, 4):
                laws.encloses(found, asked, laws.execute(net, x, rng if float32 else None))


def test_errors_of_the_rows_are_charged():
    asked = replace(rows([1.0]), y_error=np.array([[2.0**-20]]), x_error=np.array([[2.0**-22, 0.0]]),
                    constant_error=np.array([2.0**-24]))
    net = Collapser(small(), *BOX, Exact, False).finish(asked)
    largest = 2 + 2 + 8  # of y by intervals
    assert 2.0**-20 * largest <= net.error[0] - 2.0**-22 - 2.0**-24 <= 2.0**-20 * largest * (1 + 1e-6)


def test_products_that_round_differently_are_charged():
    """c b a - a b c is 0; in float64 it is not, and no coefficient is left that would tell how large the terms were.

    The factors have all the digits of float64: products of two float32 are exact there, and only kernels with fused
    multiply-add would differ."""
    rng, seen = np.random.default_rng(3), 0
    for a, b, c in rng.standard_normal((20, 3)):
        net = network((Dense(np.array([[a, 0.0], [c, 0.0]])), 2), (Scale(np.array([[b, b]])), 2),
                      (Dense(np.array([[c, -a]])), 1))
        found = Collapser(net, *BOX, Float64, False).finish(rows([1.0]))
        seen += found.weight[0, 0] != 0
        assert abs(found.weight[0, 0]) <= found.error[0] <= 1e-13
    assert seen


def test_sums_of_many_biases_are_charged():
    shift = np.full((1, 4096), 2.0**-53)
    shift[0, 0] = 1.0  # each of the others is lost when it is added to this one
    shifted = Step("y", Scale(np.ones((1, 4096)), shift), (0,), (1, 4096))
    net = Network((Step("x", Input(), (), (1, 4096)), shifted), "float64", 13)
    none = np.zeros((1, 4096))
    asked = FloatRows(np.ones((1, 4096)), none, np.zeros(1), none, none, np.zeros(1))
    found = Collapser(net, np.zeros(4096), np.zeros(4096), Float64, False).finish(asked)
    assert abs(Fraction(found.bias[0]) - 1 - Fraction(4095, 2**53)) <= Fraction(found.error[0])


def test_sums_of_the_rows_of_many_readers_are_charged():
    factors = [-1.0, *([2.0**-53] * 38), 1.0]
    steps = [Step("x", Input(), (), (1, 1))]
    steps += [Step(f"s{k}", Scale(np.array([[f]])), (0,), (1, 1)) for k, f in enumerate(factors)]
    steps.append(Step("y", Take(np.arange(40).reshape(1, 40)), tuple(range(1, 41)), (1, 40)))
    asked = FloatRows(np.ones((1, 40)), np.zeros((1, 1)), *(np.zeros(s) for s in (1, (1, 40), (1, 1), 1)))
    net = Network(tuple(steps), "float32", 13)
    found = Collapser(net, np.array([1.0]), np.array([1.0]), Float64, False).finish(asked)
    assert abs(Fraction(found.weight[0, 0]) - Fraction(38, 2**53)) <= Fraction(found.error[0])


@pytest.mark.parametrize("op, wanted", [(Dense(np.array([[3.0, -4.0]]), np.array([1.0])), 15.0),
                                        (Sum((1, -1)), 4.0), (Scale(np.array([[2.0, 2.0]])), 4.0)])
def test_float32_noise_is_proportional_to_what_is_summed(op, wanted):
    magnitudes = [np.array([[2.0, 2.0]])] * (2 if isinstance(op, Sum) else 1)
    noise = np.ravel(float32_noise(op, magnitudes, "a step"))[0]
    count = {Dense: 2, Sum: 2, Scale: 1}[type(op)] + 1 + 8
    assert count * 2.0**-24 * wanted <= noise <= count * 2.0**-24 * wanted * 1.001


def test_an_execution_sums_forward():
    noise = [float32_noise(Dense(np.ones((out, 3))), [np.ones((1, 3))], "d").max() for out in (1, 1000)]
    kernels = [Conv(np.ones((out, 1, 1, 1)), None, (1, 1), (0, 0, 0, 0), (1, 1), 1) for out in (1, 50)]
    noise += [float32_noise(kernel, [np.full((1, 1, 1, 1), 3.6)], "c").max() for kernel in kernels]
    assert noise[0] == noise[1] and noise[2] == noise[3]


def test_flushed_inputs_and_weights_are_charged():
    heavy = Dense(np.array([[2.0**40, 0.0]]))
    # An input just below 2^-126 that is read as 0.
    assert float32_noise(heavy, [np.array([[2.0**-126, 0.0]])], "d").min() >= 2.0**40 * 2.0**-126
    assert float32_noise(Dense(np.array([[2.0**-127, 0.0]])), [np.array([[2.0**80, 0.0]])], "d").min() >= 2.0**-47


def test_what_float32_semantics_refuse():
    with pytest.raises(Rejected, match="overflow"):
        float32_noise(Dense(np.array([[2.0**60, 0.0]])), [np.array([[2.0**67, 0.0]])], "d")
    with pytest.raises(Rejected, match="overflow"):
        float32_noise(Dense(np.array([[np.nan, 0.0]])), [np.ones((1, 2))], "d")
    wide = np.broadcast_to(0.0, (1, 2**22))
    with pytest.raises(Rejected, match="too many terms"):
        float32_noise(Dense(wide), [wide], "d")
    assert float32_noise(Scale(np.ones(1), roundings=None), [np.ones(1)], "exact") == 0.0


@pytest.mark.parametrize("float32", [False, True])
def test_values_that_are_too_large_are_refused(float32):
    for factor in (2.0**160, 1e300):
        net = network((Dense(factor * np.ones((2, 2))), 2), (Dense(np.ones((1, 2)) / factor), 1))
        with pytest.raises(Rejected, match="step 1"):
            Collapser(net, *BOX, Float64, float32).finish(rows([1.0]))


def test_smooth_layers_keep_all_neurons_and_float32_has_slack():
    net = network((Dense(np.eye(2)), 2), (Smooth("tanh"), 2), (Dense(np.ones((1, 2))), 1))
    real, float32 = (Collapser(net, *BOX, Float64, flag).finish(rows([1.0])) for flag in (False, True))
    assert real.layers[0].kind == "tanh" and real.layers[0].size == 2
    assert real.slack == 0.0 and float32.slack == 2.0**-20 and (float32.reach > real.reach).any()


def test_a_network_that_ends_in_a_relu_and_one_without_layers():
    ends = network((Dense(np.array([[1.0, 1.0]])), 1), (Relu(), 1))
    assert Collapser(ends, *BOX, Float64, False).finish(rows([1.0])).weight.tolist() == [[0.0, 0.0, 1.0]]
    plain = network((Dense(np.array([[2.0, 1.0]])), 1))
    found = Collapser(plain, *BOX, Float64, False).finish(rows([1.0]))
    assert found.layers == () and found.weight.tolist() == [[2.0, 1.0]] and found.joined("lower").shape == (0,)


@pytest.mark.parametrize("arithmetic", ARITHMETICS.values())
@pytest.mark.parametrize("float32", [False, True])
def test_neurons_behind_a_factor_of_zero_are_none(arithmetic, float32):
    """Pruned and grafted neurons: relu(0 z) + s z + t for the first neuron of two, relu(z) for the second; a factor
    that is only nearly known to be zero is none."""
    dense = Dense(np.array([[1.0, 1.0], [1.0, -1.0]]))
    keep, line = np.array([[0.0, 1.0]]), Scale(np.array([[0.5, 0.0]]), np.array([[0.25, 0.0]]))

    def grafted(mask: Scale) -> Network:
        steps = [Step("x", Input(), (), (1, 2)), Step("z", dense, (0,), (1, 2)), Step("k", mask, (1,), (1, 2)),
                 Step("r", Relu(), (2,), (1, 2)), Step("l", line, (1,), (1, 2)), Step("y", Sum((1, 1)), (3, 4), (1, 2))]
        return Network(tuple(steps), "float32", 13)

    asked = replace(rows([1.0, 1.0]), y_error=np.zeros((1, 2)))
    found = Collapser(grafted(Scale(keep)), *BOX, arithmetic, float32).finish(asked)
    assert [layer.neurons.tolist() for layer in found.layers] == [[1]]
    assert arithmetic.below(found.weight).tolist() == [[0.5, 0.5, 1.0]] and arithmetic.below(found.bias) == 0.25
    vague = Collapser(grafted(Scale(keep, scale_error=np.array([[2.0**-60, 0.0]]))), *BOX, Float64, False).finish(asked)
    assert vague.layers[0].neurons.tolist() == [0, 1]


def test_zero_is_found_through_moves_sums_and_layers():
    live = np.array([[True, False]])
    assert depends(Take(np.array([1, 0, -1]), np.array([0.0])), list(live)).tolist() == [False, True, False]
    assert depends(Take(np.array([1, -1]), np.array([3.0])), list(live)).tolist() == [False, True]
    assert depends(Sum((1, -1)), [live, live]).tolist() == live.tolist()
    weight = np.array([[0.0, 1e-300], [1e-300, 0.0], [0.0, 0.0]])
    assert depends(Dense(weight), [live]).tolist() == [[False, True, False]]
    assert depends(Dense(weight, np.array([0.0, 0.0, 5e-324])), [live]).tolist() == [[False, True, True]]
    kernel = Conv(np.array([[[[2.0]]], [[[0.0]]]]), None, (1, 1), (0, 0, 0, 0), (1, 1), 1)
    assert depends(kernel, [np.ones((1, 1, 1, 2), dtype=bool)]).tolist() == [[[[True, True]], [[False, False]]]]
