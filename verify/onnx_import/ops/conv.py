"""Conv in one to three dimensions: groups, strides, dilations, auto_pad; uneven pads become a `Gather` with zeros.

In three dimensions the slices that an output slice reads become channels, and the output slices a batch: a
two-dimensional convolution.
"""

import numpy as np
from torch import Tensor

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import lift_to_2d, pad_with
from verify.onnx_import.registry import importer
from verify.onnx_import.windows import Window, window
from verify.ops import Conv, Transpose


@importer("Conv")
def conv(call: Call) -> Variable:
    x, weight = call.variable(0), call.weight(1, "weight")
    bias = call.weight(2, "bias") if call.has(2) else None
    if x.rank not in (3, 4, 5):
        raise call.refuse(f"a convolution of a value of shape {list(x.shape)}; one to three dimensions are supported")
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:1]):
        raise ShapeMismatch(f"a bias of shape {list(bias.shape)} for {weight.shape[0]} output channels")
    frame = window(call, x.shape[2:], tuple(weight.shape[2:]))
    if x.rank == 5:
        return _conv_3d(call, x, weight, bias, frame)
    if frame.begin != frame.end:
        x = pad_with(call, x, frame.begin, frame.end)
        frame = frame.unpadded()
    x, weight, frame = lift_to_2d(call, x, weight, frame)
    op = Conv(
        weight, bias, stride=frame.stride, padding=frame.begin, dilation=frame.dilation,
        groups=call.attribute("group", 1),
    )
    y = call.add(op, x)
    return y if call.variable(0).rank == 4 else call.reshape(y, (*y.shape[:2], y.shape[3]))


def _conv_3d(call: Call, x: Variable, weight: Tensor, bias: Tensor | None, frame: Window) -> Variable:
    """(b, c, d, h, w) -> (b d', c k, h, w) -> (b d', o, h', w') -> (b, o, d', h', w')."""
    (index, valid), *_ = frame.reads(call)
    depth = index.shape[1]
    widths = ((0, 0),) * 4 + tuple(zip(frame.begin[1:], frame.end[1:], strict=True))

    def slices(flat: np.ndarray) -> np.ndarray:
        taken = np.where(valid[:, :, None, None], flat[:, :, np.where(valid, index, 0)], -1)
        moved = np.pad(taken, widths, constant_values=-1).transpose(0, 3, 1, 2, 4, 5)
        return moved.reshape(x.shape[0] * depth, -1, *moved.shape[4:])

    op = Conv(weight.flatten(1, 2), bias, stride=frame.stride[1:], padding=(0, 0), dilation=frame.dilation[1:],
              groups=call.attribute("group", 1))
    y = call.add(op, call.rearrange(x, slices))
    return call.add(Transpose((0, 2, 1, 3, 4)), call.reshape(y, (x.shape[0], depth, *y.shape[1:])))
