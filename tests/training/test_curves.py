import pytest

from training import curves
from training.loop import Epoch
from training.settings import settings_for


@pytest.mark.skipif(curves.missing() is not None, reason="matplotlib is not installed")
@pytest.mark.parametrize("recipe", ["standard", "ibp"])
def test_curves_are_drawn(tmp_path, recipe):
    epochs = [Epoch(k, 1 / k, 0.5, None if k == 1 else 0.4, 0.3, 0.1, 0.0, 1e-3, 2.0) for k in (1, 2, 3)]
    curves.draw(epochs, settings_for(recipe), tmp_path / "training.png")
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
