"""Evaluations and comparisons written by hand, for the tests of what is made of them."""

from training.compare import Comparison, Entry
from training.evaluate import Options
from training.evaluation import Evaluation, Image, Layer


def made(statuses, **changes):
    images = tuple(Image(k, 0, 0, status, status == "verified", 0.5 if status == "verified" else -0.1,
                         1.0 if status in ("verified", "falsified", "undecided") else None, 10 * k)
                   for k, status in enumerate(statuses))
    values = {"name": "net", "sha256": "0" * 64, "file_bytes": 10, "parameters": 5, "relus": 30,
              "input_shape": (1, 3, 3), "classes": 4, "eps": 0.1, "timeout": 2.0, "bounds": "CROWN, float64",
              "attacks": ("pgd-40x1",), "images": images,
              "layers": (Layer("a", 20, 5.0, 0.5), Layer("b", 10, 1.5, 0.25))}
    return Evaluation(**(values | changes))


def by_hand():
    before = made(("verified", "undecided", "undecided", "misclassified", "attacked"))
    after = made(("undecided", "verified", "verified", "verified", "attacked"))
    entries = (Entry("a", "before", "a.onnx", before), Entry("b", "after", "b.onnx", after), Entry("rs", "control"))
    return Comparison("toy", "0" * 64, (0, 1, 2, 3, 4), Options(0.1), entries)
