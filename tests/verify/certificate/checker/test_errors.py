from verify.certificate.checker.errors import Rejected


def test_the_message_is_what_is_printed():
    assert str(Rejected("node 'a' (Sin): not supported")) == "node 'a' (Sin): not supported"
    assert not issubclass(Rejected, (ValueError, ArithmeticError))
