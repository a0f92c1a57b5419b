import math

import pytest

from verify.certificate.checker.errors import Rejected, require


def test_the_message_is_what_is_printed():
    assert str(Rejected("node 'a' (Sin): not supported")) == "node 'a' (Sin): not supported"
    assert not issubclass(Rejected, (ValueError, ArithmeticError))


def test_what_does_not_hold_is_rejected():
    require(math.inf > 0, "unused")
    for wrong in (math.nan > 0, math.nan <= 0, None, []):
        with pytest.raises(Rejected, match="too small"):
            require(wrong, "too small")
