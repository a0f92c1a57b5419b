"""torch.nn.Module -> `Network`, by exporting to ONNX in memory: modules and files take the same way from there on."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.model import Network, from_bytes

OPSET = 20
FAILURES = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, AttributeError)
"""What torch's exporters raise on modules that they cannot export."""


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
    with _evaluation_mode(module), torch.no_grad(), _quietly():
        try:
            data = _export(module, example, dynamo=False)
        except FAILURES as error:
            data = _export_anew(module, example, error)
    return from_bytes(data, source=type(module).__name__)


def _export(module: nn.Module, example: Tensor, dynamo: bool) -> bytes:
    buffer = io.BytesIO()
    options = {"external_data": False, "verbose": False} if dynamo else {}
    torch.onnx.export(
        module, (example,), buffer, input_names=["input"], output_names=["output"], opset_version=OPSET, dynamo=dynamo,
        **options,
    )
    return buffer.getvalue()


def _export_anew(module: nn.Module, example: Tensor, first: Exception) -> bytes:
    """By the newer exporter, which knows operators that the older one does not, but needs a package and seconds."""
    failure = first
    if find_spec("onnxscript") is not None:
        try:
            return _export(module, example, dynamo=True)
        except FAILURES as error:
            failure = error
    reason = " ".join(str(first).split())[:300]
    raise UnsupportedOperator(f"{type(module).__name__} cannot be exported to ONNX: {reason}") from failure


@contextmanager
def _quietly() -> Iterator[None]:
    """The older exporter is deprecated and the newer one logs what it skips, which is not the caller's business."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, flag in flags.items():
            part.training = flag
