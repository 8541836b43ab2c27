"""A network of the shape and size of YOLOv8n (3.2 million weights, 8.7 GFLOP at 640x640): 80 classes, boxes decoded to
centre and size in pixels, as its exports have them. Its weights mean nothing.
"""

import torch
from torch import nn

CLASSES = 80
BINS = 16
STRIDES = (8, 16, 32)


class Conv(nn.Sequential):
    def __init__(self, c_in, c_out, size=1, stride=1):
        super().__init__(
            nn.Conv2d(c_in, c_out, size, stride, size // 2, bias=False), nn.BatchNorm2d(c_out), nn.SiLU()
        )


class Bottleneck(nn.Module):
    def __init__(self, channels, shortcut):
        super().__init__()
        self.path = nn.Sequential(Conv(channels, channels, 3), Conv(channels, channels, 3))
        self.shortcut = shortcut

    def forward(self, x):
        return x + self.path(x) if self.shortcut else self.path(x)


class C2f(nn.Module):
    def __init__(self, c_in, c_out, repeats, shortcut):
        super().__init__()
        half = c_out // 2
        self.enter = Conv(c_in, c_out)
        self.steps = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(repeats))
        self.leave = Conv((2 + repeats) * half, c_out)

    def forward(self, x):
        parts = list(self.enter(x).chunk(2, 1))
        for step in self.steps:
            parts.append(step(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Sppf(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.enter = Conv(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = Conv(channels * 2, channels)

    def forward(self, x):
        pools = [self.enter(x)]
        for _ in range(3):
            pools.append(self.pool(pools[-1]))
        return self.leave(torch.cat(pools, 1))


class Head(nn.Module):
    def __init__(self, channels):
        super().__init__()
        boxes, classes = max(16, channels[0] // 4, 4 * BINS), max(channels[0], min(CLASSES, 100))

        def branch(c_in, middle, c_out):
            return nn.Sequential(Conv(c_in, middle, 3), Conv(middle, middle, 3), nn.Conv2d(middle, c_out, 1))

        self.boxes = nn.ModuleList(branch(c, boxes, 4 * BINS) for c in channels)
        self.classes = nn.ModuleList(branch(c, classes, CLASSES) for c in channels)

    def forward(self, maps):
        boxes = torch.cat([head(x).flatten(2) for head, x in zip(self.boxes, maps)], 2)
        scores = torch.cat([head(x).flatten(2) for head, x in zip(self.classes, maps)], 2).sigmoid()
        batch, _, cells = boxes.shape
        bins = boxes.view(batch, 4, BINS, cells).softmax(2)
        sides = (bins * torch.arange(BINS).view(1, 1, BINS, 1)).sum(2)
        centres, strides = [], []
        for stride, x in zip(STRIDES, maps):
            height, width = x.shape[2:]
            y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
            centres.append(torch.stack([x, y]).flatten(1))
            strides.append(torch.full((1, height * width), float(stride)))
        centre, stride = torch.cat(centres, 1), torch.cat(strides, 1)
        low, high = centre - sides[:, :2], centre + sides[:, 2:]
        return torch.cat([(low + high) / 2 * stride, (high - low) * stride, scores], 1)


class YoloV8n(nn.Module):
    """`[batch, 3, 640, 640]` to `[batch, 4 + 80, 8400]`."""

    def __init__(self):
        super().__init__()
        self.to_8 = nn.Sequential(
            Conv(3, 16, 3, 2), Conv(16, 32, 3, 2), C2f(32, 32, 1, True), Conv(32, 64, 3, 2), C2f(64, 64, 2, True)
        )
        self.to_16 = nn.Sequential(Conv(64, 128, 3, 2), C2f(128, 128, 2, True))
        self.to_32 = nn.Sequential(Conv(128, 256, 3, 2), C2f(256, 256, 1, True), Sppf(256))
        self.up = nn.Upsample(scale_factor=2)
        self.up_16, self.up_8 = C2f(384, 128, 1, False), C2f(192, 64, 1, False)
        self.down_16, self.down_32 = Conv(64, 64, 3, 2), Conv(128, 128, 3, 2)
        self.out_16, self.out_32 = C2f(192, 128, 1, False), C2f(384, 256, 1, False)
        self.head = Head((64, 128, 256))

    def forward(self, images):
        at_8 = self.to_8(images)
        at_16 = self.to_16(at_8)
        at_32 = self.to_32(at_16)
        middle = self.up_16(torch.cat([self.up(at_32), at_16], 1))
        small = self.up_8(torch.cat([self.up(middle), at_8], 1))
        middle = self.out_16(torch.cat([self.down_16(small), middle], 1))
        large = self.out_32(torch.cat([self.down_32(middle), at_32], 1))
        return self.head([small, middle, large])
