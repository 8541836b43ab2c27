"""The detector: a small convolutional network with a feature pyramid, and what it is trained towards.

Anchor-free, as YOLO since v8: each cell of three grids (strides 8, 16 and 32) says how far the edges of its box are
from the cell's middle, and a score for each class. Cells are given to objects by how well they do already (task-aligned
assignment, Feng et al. 2021, "TOOD"); scores learn the overlap that their boxes reach.
"""

import torch
from pictures import SIDE
from scene import LABELS
from torch import nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
WIDTH = 40  # channels of the pyramid
CELLS_PER_OBJECT = 9


def conv(inner, outer, size=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(inner, outer, size, stride, size // 2, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a, self.b = conv(channels, channels // 2, 1), conv(channels // 2, channels)

    def forward(self, x):
        return x + self.b(self.a(x))


class Detector(nn.Module):
    """[N, 3, 320, 320] RGB, 0 to 1 -> [N, 4 + classes, cells]: boxes (centre, size; pixels), then scores (0 to 1)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 12, 3, 2), conv(12, 24, 3, 2), Residual(24))
        self.stages = nn.ModuleList(
            nn.Sequential(conv(inner, outer, 3, 2), Residual(outer), Residual(outer))
            for inner, outer in ((24, 48), (48, 64), (64, 96))
        )
        self.lateral = nn.ModuleList(conv(channels, WIDTH, 1) for channels in (48, 64, 96))
        self.head = nn.ModuleList(nn.Sequential(conv(WIDTH, WIDTH), conv(WIDTH, WIDTH), conv(WIDTH, WIDTH)) for _ in STRIDES)
        self.edges = nn.ModuleList(nn.Conv2d(WIDTH, 4, 1) for _ in STRIDES)
        self.scores = nn.ModuleList(nn.Conv2d(WIDTH, len(LABELS), 1) for _ in STRIDES)
        for edges, scores in zip(self.edges, self.scores):
            nn.init.constant_(edges.bias, 1.0)
            nn.init.constant_(scores.bias, -5.0)
        middles, strides = [], []
        for stride in STRIDES:
            steps = (torch.arange(SIDE // stride) + 0.5) * stride
            y, x = torch.meshgrid(steps, steps, indexing="ij")
            middles.append(torch.stack([x, y], -1).view(-1, 2))
            strides.append(torch.full((len(middles[-1]),), float(stride)))
        self.register_buffer("middles", torch.cat(middles))
        self.register_buffer("strides", torch.cat(strides))

    def raw(self, x):
        """Distances of the edges [N, 4, cells] in pixels, and logits [N, classes, cells]."""
        x = self.stem(x)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        pyramid = [None] * len(levels)
        above = None
        for i in reversed(range(len(levels))):
            pyramid[i] = self.lateral[i](levels[i])
            if above is not None:
                pyramid[i] = pyramid[i] + F.interpolate(above, scale_factor=2.0)
            above = pyramid[i]
        features = [head(level) for head, level in zip(self.head, pyramid)]
        edges = torch.cat([edges(f).flatten(2) for edges, f in zip(self.edges, features)], 2)
        logits = torch.cat([scores(f).flatten(2) for scores, f in zip(self.scores, features)], 2)
        return F.softplus(edges) * self.strides, logits

    def forward(self, x):
        edges, logits = self.raw(x)
        left, top = self.middles[:, 0] - edges[:, 0], self.middles[:, 1] - edges[:, 1]
        right, bottom = self.middles[:, 0] + edges[:, 2], self.middles[:, 1] + edges[:, 3]
        boxes = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], 1)
        return torch.cat([boxes, logits.sigmoid()], 1)


def overlap(a, b, penalise_distance=False):
    """Intersection over union of boxes given by their edges; less their distance (DIoU, Zheng et al. 2020)."""
    inner = (torch.min(a[..., 2:], b[..., 2:]) - torch.max(a[..., :2], b[..., :2])).clamp(0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner + 1e-7
    if not penalise_distance:
        return inner / union
    around = torch.max(a[..., 2:], b[..., 2:]) - torch.min(a[..., :2], b[..., :2])
    distance = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) ** 2).sum(-1) / 4
    return inner / union - distance / ((around**2).sum(-1) + 1e-7)


@torch.no_grad()
def assign(boxes, logits, middles, objects):
    """For each cell: whether it has an object, which, and the score that it should give."""
    there, edges, labels = objects[..., 0] >= 0, objects[..., 1:], objects[..., 0].clamp(0).long()
    cells = len(middles)
    inside = (middles > edges[:, :, None, :2]).all(-1) & (middles < edges[:, :, None, 2:]).all(-1) & there[..., None]
    overlaps = overlap(edges[:, :, None], boxes[:, None]).clamp(0) * inside
    scores = logits.sigmoid().gather(1, labels[..., None].expand(-1, -1, cells))
    quality = scores**0.5 * overlaps**6 * inside
    best = quality.topk(CELLS_PER_OBJECT, 2).indices
    chosen = torch.zeros_like(quality).scatter_(2, best, 1.0) * (quality > 1e-9)
    # A cell that several objects want goes to the one it overlaps most.
    nearest = F.one_hot(overlaps.argmax(1), objects.shape[1]).transpose(1, 2)
    chosen = torch.where((chosen.sum(1) > 1)[:, None], nearest * chosen, chosen)
    has_object, which = chosen.sum(1) > 0, chosen.argmax(1)
    quality, overlaps = quality * chosen, overlaps * chosen
    aim = (quality / (quality.amax(2, keepdim=True) + 1e-9) * overlaps.amax(2, keepdim=True)).amax(1)
    return has_object, which, aim * has_object


def loss(net, edges, logits, objects):
    middles = net.middles
    boxes = torch.stack(
        [middles[:, 0] - edges[:, 0], middles[:, 1] - edges[:, 1], middles[:, 0] + edges[:, 2], middles[:, 1] + edges[:, 3]],
        -1,
    )
    has_object, which, aim = assign(boxes.detach(), logits, middles, objects)
    labels = objects[..., 0].clamp(0).long().gather(1, which)
    wanted = torch.zeros_like(logits).scatter_(1, labels[:, None], aim[:, None])
    total = aim.sum().clamp(min=1)
    of_scores = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / total
    their = objects[..., 1:].gather(1, which[..., None].expand(-1, -1, 4))
    of_boxes = ((1 - overlap(boxes[has_object], their[has_object], True)) * aim[has_object]).sum() / total
    return of_scores + 5 * of_boxes
