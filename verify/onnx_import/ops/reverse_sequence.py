"""ReverseSequence: per batch entry the first `sequence_lens` entries of the time axis in reverse."""

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.registry import importer


@importer("ReverseSequence", since=10, accepts="any")
def reverse_sequence(call: Call) -> Variable:
    lengths = call.integers(1, "sequence lengths")
    time, batch = call.attribute("time_axis", 0), call.attribute("batch_axis", 1)

    def reversed_(index: np.ndarray) -> np.ndarray:
        view = np.moveaxis(index, (batch, time), (0, 1)).copy()
        for row, length in zip(view, lengths, strict=True):
            row[:length] = row[:length][::-1].copy()
        return np.moveaxis(view, (0, 1), (batch, time))

    return call.rearrange(call.variable(0), reversed_)
