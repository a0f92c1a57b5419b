"""Windows by hand; all attributes against onnxruntime are in test_operators.py."""

from __future__ import annotations

import numpy as np
import pytest

from verify.certificate.checker.call import Call, Var
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.onnx_reader import Node
from verify.certificate.checker.windows import frame, windows


def pool(**attributes) -> Call:
    return Call(Node("MaxPool", "n", (), ("y",), attributes), {}, [], 13, "float32")


def test_entries_outside_read_the_first_one_inside_along_their_axis():
    call = pool(kernel_shape=[3], pads=[1, 1], strides=[2])
    f = frame(call, (4,))
    assert (f.begin, f.end, f.output) == ((1,), (1,), (2,)) and call.unread == set()
    index, inside = windows(call, Var(0, (1, 1, 4)), f)
    assert index.reshape(3, 2).T.tolist() == [[0, 0, 1], [1, 2, 3]]
    assert inside.reshape(3, 2).T.tolist() == [[False, True, True], [True, True, True]]


def test_two_axes_in_row_major_order():
    index, inside = windows(pool(), Var(0, (1, 2, 2, 2)), frame(pool(kernel_shape=[2, 2]), (2, 2)))
    assert index.shape == (4, 1, 2, 1, 1) and inside.all()
    assert np.array_equal(index[:, 0, :, 0, 0], [[0, 4], [1, 5], [2, 6], [3, 7]])


@pytest.mark.parametrize("auto, begin", [("SAME_UPPER", 0), ("SAME_LOWER", 1), ("VALID", 0)])
def test_automatic_padding(auto, begin):
    f = frame(pool(kernel_shape=[2], auto_pad=auto), (5,))
    assert f.begin == (begin,) and f.output == (4 if auto == "VALID" else 5,)


def test_a_rounded_up_number_of_windows():
    call = pool(kernel_shape=[2], strides=[3], ceil_mode=1)
    assert frame(call, (6,)).output == (3 - 1,) and frame(call, (7,)).output == (3,)
    assert frame(call, (5,), sticks_out=False).output == (2,)
    with pytest.raises(Rejected, match="stick out"):
        frame(call, (7,), sticks_out=False)


@pytest.mark.parametrize(
    "attributes, word",
    [
        ({"kernel_shape": [4]}, "do not fit"),
        ({"kernel_shape": [0]}, "do not fit"),
        ({"kernel_shape": [2], "dilations": [3]}, "do not fit"),
        ({"kernel_shape": [1], "pads": [-1, 0]}, "negative"),
        ({"kernel_shape": [1], "auto_pad": "SAME"}, "SAME"),
        ({"kernel_shape": [1], "pads": [2, 0]}, "in the padding"),
    ],
)
def test_refused(attributes, word):
    with pytest.raises(Rejected, match=f"'n' .*{word}"):
        windows(pool(), Var(0, (1, 1, 3)), frame(pool(**attributes), (3,)))
