#!/usr/bin/env python3
"""How well the models do: on held-out pictures, on the test clips, on held-out crops.

    pip install -r models/requirements.txt
    python3 models/evaluate.py

Reads the clips with gst-launch-1.0. A box is right where its label is, and it overlaps an object by half (intersection
over union); each object is found once. Boxes from a confidence of 0.25, suppressed from an overlap of 0.7, as by default.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from pictures import camera_frame, classifier_samples, letterbox, many
from scene import LABELS

HERE = Path(__file__).resolve().parent
CLIPS = HERE.parent / "tests" / "clips"
THRESHOLD, SUPPRESS, RIGHT = 0.25, 0.7, 0.5
PICTURES, CROPS = range(900_000, 900_500), range(920_000, 920_500)


def session(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(HERE / name, options)


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(width, 0) * max(height, 0)
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner + 1e-9)


def detect(model, picture):
    """Label and edges of each box, the most confident first."""
    square, scale, left, top = letterbox(picture)
    x = (square.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    output = model.run(None, {"images": x})[0][0]
    scores, labels = output[4:].max(0), output[4:].argmax(0)
    boxes = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] < THRESHOLD:
            break
        cx, cy, w, h = output[:4, i]
        edges = [cx - w / 2 - left, cy - h / 2 - top, cx + w / 2 - left, cy + h / 2 - top]
        box = (LABELS[labels[i]], [v / scale for v in edges])
        if all(box[0] != other[0] or overlap(box[1], other[1]) <= SUPPRESS for other in boxes):
            boxes.append(box)
    return boxes


class Score:
    def __init__(self):
        self.there = self.found = self.boxes = 0

    def add(self, there, boxes):
        left = list(there)
        for label, edges in boxes:
            best = max((o for o in left if o[0] == label), key=lambda o: overlap(o[1], edges), default=None)
            if best and overlap(best[1], edges) >= RIGHT:
                left.remove(best)
                self.found += 1
        self.there += len(there)
        self.boxes += len(boxes)

    def __str__(self):
        recall, precision = 100 * self.found / self.there, 100 * self.found / max(self.boxes, 1)
        return f"recall {recall:.2f} %, precision {precision:.2f} % ({self.there} objects, {self.boxes} boxes)"


def clip_frames(path, width, height):
    line = f"filesrc location={path} ! qtdemux ! h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=RGB ! fdsink"
    raw = subprocess.run(["gst-launch-1.0", "-q", *line.split()], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def main():
    detector = session("shapes.onnx")
    score = Score()
    for picture, boxes, _ in many(camera_frame, PICTURES):
        score.add([(b.label, [b.x, b.y, b.x + b.w, b.y + b.h]) for b in boxes], detect(detector, picture))
    print(f"shapes.onnx, {len(PICTURES)} held-out pictures: {score}")

    for path in sorted(CLIPS.glob("*.json")):
        truth, score = json.loads(path.read_text()), Score()
        for frame, objects in zip(clip_frames(path.with_suffix(".mp4"), truth["width"], truth["height"]), truth["frames"]):
            there = [(o["label"], [o["x"], o["y"], o["x"] + o["w"], o["y"] + o["h"]]) for o in objects]
            score.add(there, detect(detector, Image.fromarray(frame)))
        print(f"shapes.onnx, {path.stem}.mp4: {score}")

    classifier = session("shapes-cls.onnx")
    crops = [crop for crops in many(classifier_samples, CROPS) for crop in crops]
    x = np.stack([picture for picture, _ in crops]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    right = classifier.run(None, {"images": x})[0].argmax(1) == [label for _, label in crops]
    print(f"shapes-cls.onnx: {100 * right.mean():.2f} % of {len(crops)} held-out shapes are named right")


if __name__ == "__main__":
    main()
