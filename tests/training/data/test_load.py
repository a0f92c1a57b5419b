"""Parts are disjoint, chosen by seed, and the test part never depends on it."""

import numpy as np
import pytest
import torch

from training.data import from_arrays, load
from verify.errors import InvalidInput


def numbered(count, classes=5):
    """Image k has the grey level k / 200 everywhere, so that it can be recognised."""
    return np.full((count, 4, 4), 1.0) * np.arange(count)[:, None, None] / 200, np.arange(count) % classes


def numbers(x):
    return (x[:, 0, 0, 0] * 200).round().int().tolist()


def test_validation_comes_from_the_training_part_class_by_class():
    x, y = numbered(100)
    data = from_arrays(x, y, x[:50], y[:50], validation=0.2)
    train, held = numbers(data.x_train), numbers(data.x_val)
    assert sorted(train + held) == list(range(100)) and len(held) == 20
    assert torch.bincount(data.y_val).tolist() == [4] * 5
    assert numbers(data.x_test) == list(range(50)) == list(data.test_index)
    assert (data.y_train == torch.tensor(train) % 5).all() and (data.y_val == torch.tensor(held) % 5).all()
    assert data.input_shape == (1, 4, 4) and data.classes == 5
    assert from_arrays(x, y, validation=0).x_val.shape == (0, 1, 4, 4)


def test_a_source_without_test_part_gives_the_same_one_whatever_the_seed():
    x, y = numbered(100)
    first, second = from_arrays(x, y, seed=1), from_arrays(x, y, seed=2)
    assert numbers(first.x_test) == numbers(second.x_test) == list(first.test_index)
    assert len(first.x_test) == 20 and torch.bincount(first.y_test).tolist() == [4] * 5
    assert numbers(first.x_val) != numbers(second.x_val)
    everything = numbers(first.x_train) + numbers(first.x_val) + numbers(first.x_test)
    assert sorted(everything) == list(range(100))


def test_subsets_by_count_and_by_position():
    x, y = numbered(100)
    data = from_arrays(x, y, x, y, train=50, test=[7, 3])
    assert len(data.x_train) == 45 and len(data.x_val) == 5
    assert numbers(data.x_test) == [7, 3] == list(data.test_index)
    assert torch.bincount(from_arrays(x, y, x, y, test=10).y_test).tolist() == [2] * 5
    again = from_arrays(x, y, x, y, train=50, test=[7, 3])
    assert data.digest == again.digest != from_arrays(x, y, x, y, train=50, test=[7, 3], seed=1).digest


def test_digits_load_and_data_is_handed_through():
    data = load("digits", train=100, test=50)
    assert data.name == "digits" and data.classes == 10 and data.input_shape == (1, 8, 8)
    assert data.mean[0] == pytest.approx(float(data.x_train.mean()), abs=1e-6)
    assert load(data) is data


@pytest.mark.parametrize(("change", "text"), [
    ({"train": 101}, "101 images were asked for, there are 100"),
    ({"test": [200]}, r"image \[200\]; positions"),
    ({"test": []}, "list is empty"),
    ({"validation": 1.0}, r"a share in \[0, 1\)"),
    ({"classes": 3}, "labels range from 0 to 4; with 3 classes"),
    ({"y_train": None}, "images without labels"),
    ({"x_test": np.zeros((3, 5, 5)), "y_test": np.zeros(3, int)}, r"test images have shape \[1, 5, 5\]"),
    ({"y_train": np.zeros(99, int)}, "100 images but 99 labels"),
])
def test_errors_name_the_culprit(change, text):
    x, y = numbered(100)
    with pytest.raises(InvalidInput, match=text):
        from_arrays(**({"x_train": x, "y_train": y, "x_test": x, "y_test": y} | change))
