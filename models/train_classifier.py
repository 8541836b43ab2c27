#!/usr/bin/env python3
"""Trains the classifier of single shapes and writes `shapes-cls.onnx`. Takes a few minutes on four cores.

    pip install -r models/requirements.txt
    python3 models/train_classifier.py
"""

import math

import numpy as np
import torch
from export import export
from pictures import CROP, classifier_samples, many
from scene import LABELS
from torch import nn

PICTURES, HELD_OUT = range(200_000, 203_000), range(920_000, 920_500)
STEPS, BATCH = 2000, 128


def conv(inner, outer, stride=1):
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)
    )


def network():
    return nn.Sequential(
        conv(3, 12, 2), conv(12, 24, 2), conv(24, 32), conv(32, 48, 2), conv(48, 48),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(4 * 48, len(LABELS)),
    )  # fmt: skip


def data(seeds):
    crops = [crop for crops in many(classifier_samples, seeds) for crop in crops]
    pictures = torch.from_numpy(np.stack([picture for picture, _ in crops])).permute(0, 3, 1, 2)
    return pictures, torch.tensor([label for _, label in crops])


def main():
    torch.manual_seed(1)
    pictures, labels = data(PICTURES)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: 0.5 * (1 + math.cos(math.pi * i / STEPS)))
    for step in range(1, STEPS + 1):
        pick = torch.randint(len(pictures), (BATCH,))
        x = pictures[pick].float() / 255
        if torch.rand(1) < 0.5:
            x = x.flip(3)
        if torch.rand(1) < 0.5:
            x = x[:, torch.randperm(3)]
        loss = nn.functional.cross_entropy(net(x), labels[pick], label_smoothing=0.02)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    net.eval()
    pictures, labels = data(HELD_OUT)
    with torch.no_grad():
        right = (net(pictures.float() / 255).argmax(1) == labels).float().mean().item()
    print(f"{100 * right:.2f} % of {len(labels)} held-out shapes are named right")
    # The shares of the classes, so that nobody has to wonder whether these are logits.
    export(nn.Sequential(net, nn.Softmax(1)), "shapes-cls", CROP, "classify", "Which shape a picture shows")


if __name__ == "__main__":
    main()
