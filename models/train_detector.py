#!/usr/bin/env python3
"""Trains the detector of shapes and writes `shapes.onnx`.

    pip install -r models/requirements.txt
    python3 models/train_detector.py [--steps N] [--resume FILE] [--keep FILE]

Pictures are made first and kept in memory (4 GB). A step takes about 0.4 s on four cores with bfloat16.
"""

import argparse
import math

import numpy as np
import torch
from detector import Detector, loss
from export import export
from pictures import SIDE, detector_sample, many

PICTURES = range(12_000)
BATCH = 32
HIGHEST_RATE, WARM_UP = 2.5e-3, 100
# The confidence from which on boxes are right (about 99 of 100), as the network learns it, and as it is told: the usual
# threshold. `evaluate.py` says whether that still holds.
SURE_LEARNED, SURE_TOLD = 0.45, 0.25


def augment(pictures, objects):
    """Flips, turns, other orders of the colours, a little noise."""
    x, objects = pictures.permute(0, 3, 1, 2).float() / 255, objects.clone()
    edges = objects[..., 1:]
    if torch.rand(1) < 0.5:
        x = x.flip(3)
        edges[..., [0, 2]] = SIDE - edges[..., [2, 0]]
    if torch.rand(1) < 0.5:
        x = x.flip(2)
        edges[..., [1, 3]] = SIDE - edges[..., [3, 1]]
    if torch.rand(1) < 0.3:
        x = x.transpose(2, 3)
        objects[..., 1:] = edges[..., [1, 0, 3, 2]]
    if torch.rand(1) < 0.5:
        x = x[:, torch.randperm(3)]
    x = x + torch.randn_like(x) * 0.02 * torch.rand(len(x), 1, 1, 1)
    return x.clamp(0, 1).contiguous(memory_format=torch.channels_last), objects


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--resume", help="begin from these weights")
    parser.add_argument("--keep", help="write the weights here every 200 steps")
    args = parser.parse_args()
    torch.manual_seed(1)

    samples = many(detector_sample, PICTURES)
    pictures = torch.from_numpy(np.stack([picture for picture, _ in samples]))
    objects = torch.from_numpy(np.stack([objects for _, objects in samples]))
    del samples
    net, average = Detector().to(memory_format=torch.channels_last), Detector()
    if args.resume:
        net.load_state_dict(torch.load(args.resume))
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=HIGHEST_RATE, weight_decay=1e-2)

    def rate(step):
        return min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / args.steps) + 0.005)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    for step in range(1, args.steps + 1):
        pick = torch.randint(len(pictures), (BATCH,))
        x, there = augment(pictures[pick], objects[pick])
        with torch.autocast("cpu", torch.bfloat16):
            edges, logits = net.raw(x)
        error = loss(net, edges.float(), logits.float(), there)
        optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        # What is kept is the average over the last few hundred steps.
        share = max(0.002, 1 - step / (step + 20))
        with torch.no_grad():
            for kept, now in zip(average.state_dict().values(), net.state_dict().values()):
                kept.lerp_(now, share) if kept.dtype.is_floating_point else kept.copy_(now)
        if step % 50 == 0:
            print(f"step {step}: loss {error.item():.3f}", flush=True)
        if args.keep and step % 200 == 0:
            torch.save(average.state_dict(), args.keep)
    logit = torch.logit(torch.tensor([SURE_LEARNED, SURE_TOLD]))
    for scores in average.scores:
        scores.bias.data += logit[1] - logit[0]
    export(average, "shapes", SIDE, "detect", "Finds circles, squares and triangles")


if __name__ == "__main__":
    main()
