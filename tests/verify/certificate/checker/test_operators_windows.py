"""Windows by hand; all attributes against onnxruntime are in test_operators.py."""

from __future__ import annotations

import numpy as np
import pytest

from verify.certificate.checker.call import Call, Var
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.onnx_reader import Node
from verify.certificate.checker.operators import frame, windows


def pool(**attributes) -> Call:
    return Call(Node("MaxPool", "n", (), ("y",), attributes), {}, [], 13, "float32")


def test_entries_outside_read_the_first_one_inside_along_their_axis():
    call = pool(kernel_shape=[3], pads=[1, 1], strides=[2])
    f = frame(call, (4,))
    assert (f.begin, f.end, f.output) == ([1], [1], [2]) and call.unread == set()
    x = Var(0, (1, 1, 4))
    assert windows(call, x, f, zeros=False).reshape(3, 2).T.tolist() == [[0, 0, 1], [1, 2, 3]]
    assert windows(call, x, f, zeros=True).reshape(3, 2).T.tolist() == [[-1, 0, 1], [1, 2, 3]]


@pytest.mark.parametrize("kernel, stride, dilation, pads", [
    ([3, 2], [2, 1], [1, 2], [1, 0, 2, 1]), ([2, 2], [1, 3], [3, 1], [2, 1, 0, 1]),
    ([2, 3], [1, 1], [3, 2], [3, 3, 1, 2]),
])
def test_every_entry_by_the_definition(kernel, stride, dilation, pads):
    call, x = pool(kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads), Var(0, (1, 2, 6, 7))
    f = frame(call, x.shape[2:])
    largest, zeros = (windows(call, x, f, zeros=flag).reshape(*kernel, 2, *f.output) for flag in (False, True))

    def positions(axis: int, o: int) -> list[int]:
        return [o * stride[axis] + k * dilation[axis] - pads[axis] for k in range(kernel[axis])]

    for a, b in np.ndindex(*f.output):
        rows, columns = positions(0, a), positions(1, b)
        first = [next(p for p in found if 0 <= p < size) for found, size in ((rows, 6), (columns, 7))]
        for i, j in np.ndindex(*kernel):
            r, c = rows[i], columns[j]
            inside = 0 <= r < 6 and 0 <= c < 7
            assert zeros[i, j, :, a, b].tolist() == ([7 * r + c, 42 + 7 * r + c] if inside else [-1, -1])
            r, c = r if 0 <= r < 6 else first[0], c if 0 <= c < 7 else first[1]
            assert largest[i, j, :, a, b].tolist() == [7 * r + c, 42 + 7 * r + c]


def test_two_axes_in_row_major_order():
    index = windows(pool(), Var(0, (1, 2, 2, 2)), frame(pool(kernel_shape=[2, 2]), (2, 2)), zeros=True)
    assert index.shape == (4, 1, 2, 1, 1)
    assert np.array_equal(index[:, 0, :, 0, 0], [[0, 4], [1, 5], [2, 6], [3, 7]])


def test_a_rounded_up_number_of_windows_is_refused_where_it_matters():
    call = pool(kernel_shape=[2], strides=[3], ceil_mode=1)
    assert frame(call, (5,)).output == [2]
    for size in (6, 7):
        with pytest.raises(Rejected, match="ceil_mode"):
            frame(call, (size,))


@pytest.mark.parametrize(
    "attributes, word",
    [
        ({"kernel_shape": [4]}, "do not fit"),
        ({"kernel_shape": [0]}, "windows of"),
        ({"kernel_shape": [1, 1]}, "windows of"),
        ({"kernel_shape": [2], "dilations": [2**62]}, "dilations"),
        ({"kernel_shape": [1], "strides": 1}, "another type"),
        ({"kernel_shape": [2], "dilations": [3]}, "do not fit"),
        ({"kernel_shape": [1], "pads": [-1, 0]}, "pads"),
        ({"kernel_shape": [1], "auto_pad": "SAME_UPPER"}, "SAME_UPPER"),
        ({"kernel_shape": [1], "pads": [0, 0, 0]}, "pads"),
        ({"kernel_shape": [1], "pads": [2, 0]}, "in the padding"),
    ],
)
def test_refused(attributes, word):
    with pytest.raises(Rejected, match=f"'n' .*{word}"):
        windows(pool(), Var(0, (1, 1, 3)), frame(pool(**attributes), (3,)), zeros=False)
