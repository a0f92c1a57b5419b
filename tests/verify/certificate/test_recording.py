import numpy as np
import torch

from verify.certificate.recording import Neurons, dequantised, quantised


def test_neurons_are_counted():
    assert len(Neurons(np.zeros(3, dtype=np.int64), np.arange(3))) == 3


def test_positions_survive_in_eight_bits():
    position = torch.linspace(0, 1, 1001, dtype=torch.float64)
    stored = quantised(position)
    assert stored.dtype == np.uint8 and np.abs(dequantised(stored) - position.numpy()).max() <= 1.5 / 256
    assert dequantised(quantised(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]))).tolist() == [0, 0, 0.5, 1, 1]
