"""The only way in which the checker says no."""


class Rejected(Exception):
    """A proof, network or property that the checker does not accept; the message is one line that names the culprit."""


def require(condition: object, otherwise: str) -> None:
    """Raises `Rejected` unless the condition holds. Say what must hold: a comparison with NaN does not."""
    if not condition:
        raise Rejected(otherwise)
