"""torch.nn.Module -> `Network`, by exporting to ONNX in memory: modules and files take the same way from there on."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.model import Network, from_bytes

OPSET = 17


def from_module(
    module: nn.Module, example_input: Tensor | None = None, input_shape: Sequence[int] | None = None
) -> Network:
    """The network that `module` computes in eval mode.

    Either an example input or its full shape (leading batch axis of 1 included) is needed. The module is left as it
    was, training flags of all its parts included. Raises `UnsupportedOperator` when it cannot be exported.
    """
    reference = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    if example_input is None:
        if input_shape is None:
            raise InvalidInput("a module needs an example input or an input shape (batch axis of 1 included)")
        example_input = torch.zeros(tuple(input_shape))
    example = example_input.detach().to(reference.device, reference.dtype)
    buffer = io.BytesIO()
    with _evaluation_mode(module), torch.no_grad(), warnings.catch_warnings():
        # The exporter that needs no further package is deprecated, which is not the caller's business.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                module, (example,), buffer, input_names=["input"], output_names=["output"], opset_version=OPSET,
                dynamo=False,
            )
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UnsupportedOperator(f"{type(module).__name__} cannot be exported to ONNX: {reason}") from error
    return from_bytes(buffer.getvalue(), source=type(module).__name__)


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, flag in flags.items():
            part.training = flag
