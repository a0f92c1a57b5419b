import numpy as np

from verify.certificate.recording import Neurons


def test_neurons_are_counted():
    assert len(Neurons(np.zeros(3, dtype=np.int64), np.arange(3))) == 3
