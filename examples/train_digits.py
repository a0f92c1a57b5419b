"""Trains the two networks of `make demo` on scikit-learn's digits (8 x 8 grey images, ten classes) and writes them.

    python examples/train_digits.py        writes *.onnx and *.vnnlib next to this file, in about half a minute

The properties are local robustness, |x - x0|_inf <= eps implies that the class of x0 keeps the largest score; x0 are
test images. Networks are trained on inputs with uniform noise, which leaves a small robust radius. Seeds are fixed.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
NOISE = 0.1
EPOCHS = 60


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 10))


def conv() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 12, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 10),
    )


def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test images (n, 1, 8, 8) in [0, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, torch.tensor(labels), test_size=0.25, random_state=0)


def train(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            noisy = (images[batch] + NOISE * (2 * torch.rand(len(batch), 1, 8, 8) - 1)).clamp(0, 1)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(noisy), labels[batch]).backward()
            optimizer.step()


def export(model: nn.Sequential, path: Path) -> None:
    """Writes the layers as ONNX nodes, with a fixed batch of one."""
    nodes, weights, value = [], [], "x"
    for number, layer in enumerate(model):
        inputs, attributes = [value], {}
        for name, tensor in layer.named_parameters():
            weights.append(onnx.numpy_helper.from_array(tensor.detach().numpy(), f"{number}.{name}"))
            inputs.append(f"{number}.{name}")
        if isinstance(layer, nn.Linear):
            kind, attributes = "Gemm", {"transB": 1}
        elif isinstance(layer, nn.Conv2d):
            kind, attributes = "Conv", {"strides": list(layer.stride), "pads": [*layer.padding, *layer.padding]}
        else:
            kind = {nn.ReLU: "Relu", nn.Flatten: "Flatten"}[type(layer)]
        value = "y" if number == len(model) - 1 else f"{kind.lower()}_{number}"
        nodes.append(onnx.helper.make_node(kind, inputs, [value], name=f"{kind.lower()}_{number}", **attributes))
    shapes = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
              for name, shape in (("x", [1, 1, 8, 8]), ("y", [1, 10]))]
    graph = onnx.helper.make_graph(nodes, path.stem, shapes[:1], shapes[1:], weights)
    content = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8,
                                     producer_name="verify examples")
    onnx.checker.check_model(content, full_check=True)
    path.write_bytes(content.SerializeToString())


def robustness(image: Tensor, label: int, eps: float) -> str:
    """The VNN-LIB text whose unsafe set is: inside the box, some other class scores at least as high as `label`."""
    lines = [f"; class {label} keeps the largest score within {eps} (maximum norm) of a test image",
             *(f"(declare-const X_{i} Real)" for i in range(64)), *(f"(declare-const Y_{k} Real)" for k in range(10))]
    for i, pixel in enumerate(image.flatten().double().tolist()):
        lines.append(f"(assert (>= X_{i} {max(0.0, pixel - eps):.6f}))")
        lines.append(f"(assert (<= X_{i} {min(1.0, pixel + eps):.6f}))")
    others = " ".join(f"(and (>= Y_{k} Y_{label}))" for k in range(10) if k != label)
    return "\n".join([*lines, f"(assert (or {others}))", ""])


def main() -> None:
    torch.manual_seed(0)
    train_x, test_x, train_y, test_y = data()
    # name, network, and per property: index of a test image and the radius
    jobs = (("digits_mlp", mlp(), {"holds": (5, 0.1), "violated": (3, 0.1)}),
            ("digits_conv", conv(), {"holds": (5, 0.11), "violated": (1, 0.08)}))
    for name, model, properties in jobs:
        train(model, train_x, train_y)
        right = model.eval()(test_x).argmax(1) == test_y
        print(f"{name}: test accuracy {right.float().mean():.3f}")
        export(model, HERE / f"{name}.onnx")
        for kind, (index, eps) in properties.items():
            if not right[index]:
                raise SystemExit(f"{name} misclassifies test image {index}; choose another one")
            (HERE / f"{name}_{kind}.vnnlib").write_text(robustness(test_x[index], int(test_y[index]), eps))


if __name__ == "__main__":
    main()
