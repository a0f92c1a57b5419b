"""Conv in one and two dimensions: groups, strides, dilations, auto_pad; uneven pads become a `Gather` with zeros."""

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import lift_to_2d, pad_with
from verify.onnx_import.registry import importer
from verify.onnx_import.windows import window
from verify.ops import Conv


@importer("Conv")
def conv(call: Call) -> Variable:
    x, weight = call.variable(0), call.weight(1, "weight")
    bias = call.weight(2, "bias") if call.has(2) else None
    if x.rank not in (3, 4):
        raise call.refuse(f"a convolution of a value of shape {list(x.shape)}; one and two dimensions are supported")
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:1]):
        raise ShapeMismatch(f"a bias of shape {list(bias.shape)} for {weight.shape[0]} output channels")
    frame = window(call, x.shape[2:], tuple(weight.shape[2:]))
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
