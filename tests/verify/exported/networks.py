"""Small networks with random weights as users build them, and their exports by both of torch's exporters."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Softmax(q k^T / sqrt(d)) v per head."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5, dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, tokens, width))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x))


class VisionTransformer(nn.Module):
    """Patches by a convolution, class token, positions, one block, a head on the class token."""

    shape = (1, 1, 4, 4)

    def __init__(self, width: int = 4, heads: int = 2):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.1 * torch.randn(1, 5, width))
        self.block, self.norm, self.head = Block(width, heads), nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.block(x))[:, 0])


class TorchTransformer(nn.Module):
    """torch's own encoder layer (post-norm, multi-head attention) over three tokens."""

    shape = (1, 3, 4)

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation="gelu", batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).mean(1))


class ScaledDotProduct(nn.Module):
    """Fused attention over three tokens, SiLU gate."""

    shape = (1, 3, 4)

    def __init__(self):
        super().__init__()
        self.qkv, self.gate, self.head = nn.Linear(4, 12), nn.Linear(4, 4), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v).squeeze(1) * F.silu(self.gate(x))
        return self.head(y.flatten(1))


class UNet(nn.Module):
    """Down by max pooling, up by a transposed convolution or by resizing, skip connection."""

    shape = (1, 1, 4, 4)

    def __init__(self, resize: bool = False):
        super().__init__()
        self.down, self.bottom = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 1)) if resize else (
            nn.ConvTranspose2d(4, 3, 2, stride=2))
        self.norm, self.out = nn.BatchNorm2d(3), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.norm(self.down(x)))
        y = self.up(F.relu(self.bottom(F.max_pool2d(skip, 2))))
        return self.out(torch.cat([skip, y], 1))


class Recurrent(nn.Module):
    """An LSTM over three steps of two features, classified by its last state."""

    shape = (1, 3, 2)

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Detector(nn.Module):
    """Convolutions, then per cell and anchor: centre by a sigmoid, size by exp, objectness and classes by sigmoids."""

    shape = (1, 1, 8, 8)

    def __init__(self, anchors: int = 2, classes: int = 2):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 3, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(3, 4, 3, 2, 1), nn.SiLU())
        self.anchors, self.fields = anchors, 5 + classes
        self.head = nn.Conv2d(4, anchors * self.fields, 1)
        ys, xs = torch.meshgrid(torch.arange(2.0), torch.arange(2.0), indexing="ij")
        self.register_buffer("grid", torch.stack([xs, ys], -1).reshape(1, 1, 2, 2, 2))
        self.register_buffer("sizes", torch.tensor([[1.0, 1.5], [2.0, 1.0]]).reshape(1, anchors, 1, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.backbone(x))
        n, _, h, w = y.shape
        y = y.reshape(n, self.anchors, self.fields, h, w).permute(0, 1, 3, 4, 2)
        centre = (torch.sigmoid(y[..., :2]) * 2 - 0.5 + self.grid) * 4
        size = torch.exp(y[..., 2:4]) * self.sizes
        return torch.cat([centre, size, torch.sigmoid(y[..., 4:])], -1).reshape(n, -1, self.fields)


class Pendulum(nn.Module):
    """A controller u = tanh MLP of (sin, cos, rate), and one Euler step of a damped pendulum under it."""

    shape = (1, 2)

    def __init__(self, step: float = 0.05):
        super().__init__()
        self.step = step
        self.policy = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        angle, rate = x[:, :1], x[:, 1:]
        torque = 2 * self.policy(torch.cat([torch.sin(angle), torch.cos(angle), rate], 1))
        drag = 0.1 * rate * torch.abs(rate) + 0.05 * rate**3 + 0.02 * rate * torch.cos(angle)
        acceleration = 9.81 * torch.sin(angle) + torque - drag
        return torch.cat([angle + self.step * rate, rate + self.step * acceleration], 1)


class NormalisedMlp(nn.Module):
    """LayerNorm and GELU."""

    shape = (1, 4)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 6), nn.LayerNorm(6),
                                    nn.GELU(approximate="tanh"), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Assorted(nn.Module):
    """Activations of all kinds and group normalisation, RMS normalisation, softmax at the end."""

    shape = (1, 2, 4)

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 4, 1), nn.Linear(16, 3)
        self.norm = nn.GroupNorm(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.mish(self.norm(self.first(x)))
        x = F.hardswish(self.second(x)) + F.elu(x) * F.softplus(x) + F.softsign(x)
        x = x * torch.rsqrt((x * x).mean(1, keepdim=True) + 1e-5)
        return torch.log_softmax(self.third(F.glu(torch.cat([x, F.selu(x)], 1), 1).flatten(1)), -1)


class Classifier(nn.Module):
    """What is quantised below: a convolution and two layers."""

    shape = (1, 1, 4, 4)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(),
                                    nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)



NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vision transformer": VisionTransformer,
    "torch transformer": TorchTransformer,
    "scaled dot product": ScaledDotProduct,
    "u-net": UNet,
    "u-net resized": lambda: UNet(resize=True),
    "recurrent": Recurrent,
    "detector": Detector,
    "pendulum": Pendulum,
    "normalised": NormalisedMlp,
    "assorted": Assorted,
    "classifier": Classifier,
}


def built(name: str) -> nn.Module:
    """The network in eval mode, always with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        return NETWORKS[name]().eval()


@cache
def exported(name: str, dynamo: bool, opset: int = 18) -> bytes:
    """The network as ONNX, by torch's new exporter (`dynamo`) or the one before it."""
    buffer, module = io.BytesIO(), built(name)
    options = {"verbose": False, "external_data": False} if dynamo else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(module.shape),), buffer, input_names=["x"], output_names=["y"],
                          opset_version=opset, dynamo=dynamo, **options)
    return buffer.getvalue()


class _Calibration:
    """Standard normal images for the ranges of the values."""

    def __init__(self, shape: tuple[int, ...]):
        generator = torch.Generator().manual_seed(0)
        self.left = [{"x": torch.randn(shape, generator=generator).numpy()} for _ in range(16)]

    def get_next(self) -> dict | None:
        return self.left.pop() if self.left else None


def quantised(folder: Path) -> bytes:
    """`Classifier` after static quantisation to 8 bits by onnxruntime, with QuantizeLinear and DequantizeLinear."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    source, target = folder / "float.onnx", folder / "quantised.onnx"
    source.write_bytes(exported("classifier", dynamo=False))
    quantize_static(source, target, _Calibration(Classifier.shape), QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return target.read_bytes()
