"""SAR-HUB's own networks, as far as their layouts and functions go (github.com/XAI4SAR/SAR-HUB, models/network.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def step(into: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(out)]


class Bottleneck(nn.Module):
    """A block of its SENet-50, which strides in the first convolution."""

    def __init__(self, into: int, inner: int, stride: int, first: bool) -> None:
        super().__init__()
        out = 4 * inner
        self.conv1 = nn.Sequential(*step(into, inner, 1, stride), nn.ReLU())
        self.conv2 = nn.Sequential(*step(inner, inner, 3), nn.ReLU())
        self.conv3 = nn.Sequential(*step(inner, out, 1))
        self.shortcut = nn.Sequential(*step(into, out, 1, stride)) if first else None
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(out, out // 16, 1), nn.ReLU(), nn.Conv2d(out // 16, out, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return torch.relu(y * self.se(y) + (x if self.shortcut is None else self.shortcut(x)))


class SENet50(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*step(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        into = 64
        for name, inner, depth in (("conv2", 64, 3), ("conv3", 128, 4), ("conv4", 256, 6), ("conv5", 512, 3)):
            blocks = []
            for i in range(depth):
                blocks.append(Bottleneck(into, inner, 2 if i == 0 and name != "conv2" else 1, i == 0))
                into = 4 * inner
            setattr(self, name, nn.Sequential(*blocks))
        self.fc = nn.Linear(into, classes)

    def forward(self, x: Tensor) -> Tensor:
        for stage in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = stage(x)
        return x.mean(dim=(2, 3))


class Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        less = max(8, (channels // 4 + 4) // 8 * 8)
        self.fc = nn.Sequential(nn.Linear(channels, less), nn.ReLU(), nn.Linear(less, channels), nn.Hardsigmoid())

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]
        return scaled


class Inverted(nn.Module):
    """A block of its MobileNetV3: where it expands, it squeezes before the activation."""

    def __init__(self, into: int, inner: int, out: int, kernel: int, stride: int, squeeze: bool, hard: bool) -> None:
        super().__init__()
        self.identity = stride == 1 and into == out
        activation: type[nn.Module] = nn.Hardswish if hard else nn.ReLU
        squeezed: nn.Module = Squeeze(inner) if squeeze else nn.Identity()
        depthwise = step(inner, inner, kernel, stride, groups=inner)
        if into == inner:
            layers = [*depthwise, activation(), squeezed, *step(inner, out, 1)]
        else:
            layers = [*step(into, inner, 1), activation(), *depthwise, squeezed, activation(), *step(inner, out, 1)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.identity else y


SMALL = [
    (3, 16, 16, 1, 0, 2),
    (3, 72, 24, 0, 0, 2),
    (3, 88, 24, 0, 0, 1),
    (5, 96, 40, 1, 1, 2),
    (5, 240, 40, 1, 1, 1),
    (5, 240, 40, 1, 1, 1),
    (5, 120, 48, 1, 1, 1),
    (5, 144, 48, 1, 1, 1),
    (5, 288, 96, 1, 1, 2),
    (5, 576, 96, 1, 1, 1),
    (5, 576, 96, 1, 1, 1),
]


class MobileNetV3Small(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        into = 16
        blocks: list[nn.Module] = [nn.Sequential(*step(3, into, 3, 2), nn.Hardswish())]
        for kernel, inner, out, squeeze, hard, stride in SMALL:
            blocks.append(Inverted(into, inner, out, kernel, stride, bool(squeeze), bool(hard)))
            into = out
        self.features = nn.Sequential(*blocks)
        self.conv = nn.Sequential(*step(into, 576, 1), nn.Hardswish())
        self.classifier = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, classes))

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.classifier[:2](self.conv(self.features(x)).mean(dim=(2, 3)))
        return pooled
