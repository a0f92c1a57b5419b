"""ConvTranspose in one and two dimensions: groups, strides, dilations, output_padding, output_shape, auto_pad.

Size along one axis: stride (n - 1) + output_padding + (kernel - 1) dilation + 1 - begin - end. Uneven pads are cut
from the result without pads.
"""

from __future__ import annotations

from dataclasses import dataclass

from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import pad_with
from verify.onnx_import.registry import importer
from verify.ops import ConvTranspose

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class _Frame:
    """Per spatial axis; `begin` and `end` are cut from the full result."""

    stride: Sizes
    dilation: Sizes
    begin: Sizes
    end: Sizes
    extra: Sizes


@importer("ConvTranspose")
def conv_transpose(call: Call) -> Variable:
    x, weight = call.variable(0), call.weight(1, "weight")
    bias = call.weight(2, "bias") if call.has(2) else None
    if x.rank not in (3, 4):
        raise call.refuse(f"a value of shape {list(x.shape)}; one and two spatial dimensions are supported")
    if bias is not None and tuple(bias.shape) != (weight.shape[1] * call.attribute("group", 1),):
        raise ShapeMismatch(f"a bias of shape {list(bias.shape)} does not fit weights {list(weight.shape)}")
    frame, flat = _frame(call, x.shape[2:], tuple(weight.shape[2:])), x.rank == 3
    even = frame.begin == frame.end
    lead = (1,) if flat else ()
    none = (0,) * len(lead)
    op = ConvTranspose(
        weight.unsqueeze(2) if flat else weight, bias, stride=(*lead, *frame.stride),
        padding=(*none, *frame.begin) if even else (0, 0), dilation=(*lead, *frame.dilation),
        groups=call.attribute("group", 1), output_padding=(*none, *frame.extra),
    )
    y = call.add(op, call.reshape(x, (*x.shape[:2], *lead, *x.shape[2:])))
    y = call.reshape(y, (*y.shape[:2], y.shape[3])) if flat else y
    return y if even else pad_with(call, y, tuple(-b for b in frame.begin), tuple(-e for e in frame.end))


def _frame(call: Call, size: Sizes, kernel: Sizes) -> _Frame:
    rank = len(size)
    stride = tuple(call.attribute("strides") or (1,) * rank)
    dilation = tuple(call.attribute("dilations") or (1,) * rank)
    extra = tuple(call.attribute("output_padding") or (0,) * rank)
    if not len(kernel) == len(stride) == len(dilation) == len(extra) == rank:
        raise InvalidInput(f"{call}: its attributes do not fit {rank} spatial axes")
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise call.refuse("output_padding as large as the stride; a smaller one would be accepted")
    full = [s * (n - 1) + e + (k - 1) * d + 1 for s, n, e, k, d in
            zip(stride, size, extra, kernel, dilation, strict=True)]
    auto = call.text("auto_pad", "NOTSET")
    wanted = call.attribute("output_shape")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, stride, strict=True)]
    if wanted is None:
        pads = list(call.attribute("pads") or [0] * (2 * rank)) if auto != "VALID" else [0] * (2 * rank)
        return _Frame(stride, dilation, tuple(pads[:rank]), tuple(pads[rank:]), extra)
    total = [f - w for f, w in zip(full, wanted[-rank:], strict=True)]
    if min(total) < 0:
        raise call.refuse(f"an output of shape {list(wanted)}, larger than the kernel reaches ({full})")
    small, large = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    # SAME_UPPER puts the odd one at the end, everything else at the beginning.
    return _Frame(stride, dilation, *((small, large) if auto == "SAME_UPPER" else (large, small)), extra)
