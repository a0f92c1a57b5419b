"""The only way in which the checker says no."""


class Rejected(Exception):
    """A proof, network or property that the checker does not accept; the message is one line that names the culprit."""
