"""BatchNormalization at inference: y = s (x - mean) / sqrt(var + eps) + b per channel, as one `Affine`."""

import torch

from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, is_mild
from verify.onnx_import.registry import importer
from verify.ops import Affine

# Difference, sum, root, quotient, product and sum, and what folding the constants adds.
ROUNDINGS = 8


@importer("BatchNormalization", since=7)
def batch_normalization(call: Call) -> Variable:
    if call.attribute("training_mode", 0) or not call.attribute("spatial", 1):
        raise call.refuse("training mode or statistics per position; inference per channel would be accepted")
    x = call.variable(0)
    names = ("scale", "bias", "mean", "variance")
    gain, bias, mean, variance = (call.weight(k + 1, name) for k, name in enumerate(names))
    if any(tuple(part.shape) != x.shape[1:2] for part in (gain, bias, mean, variance)):
        raise ShapeMismatch(f"the statistics are not one per channel of shape {list(x.shape)}")
    variance = variance + call.attribute("epsilon", 1e-5)
    if bool((variance <= 0).any()):
        raise InvalidInput(f"{call}: the variance is not positive")
    shape = (-1, *(1 for _ in x.shape[2:]))
    deviation = torch.sqrt(variance)
    if not is_mild(deviation.numpy()):
        factors = [part.reshape(shape).numpy() for part in (gain, -mean * gain, 1 / deviation, bias)]
        return affine(call, affine(call, x, *factors[:2], ROUNDINGS), *factors[2:], ROUNDINGS)
    scale = gain / deviation
    # The shift is a difference: its error is bounded by the terms, not by what remains.
    magnitude = bias.abs() + (mean * scale).abs()
    return call.add(
        Affine(scale.reshape(shape), (bias - mean * scale).reshape(shape), magnitude.reshape(shape)), x,
        roundings=ROUNDINGS,
    )
