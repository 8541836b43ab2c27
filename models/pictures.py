"""Training and test pictures: frames of scenes as a camera and an encoder would leave them, seeded."""

import io
from multiprocessing import Pool

import numpy as np
from PIL import Image, ImageFilter
from scene import LABELS, Scene

SIDE = 320  # of the detector's input
CROP = 64  # of the classifier's input
GREY = 114
MOST_OBJECTS = 16
SIZES = [(640, 480), (1280, 720), (480, 640), (848, 478), (640, 640), (320, 240), (800, 600), (1920, 1080)]


def camera_frame(seed):
    """An RGB picture, degraded, with its boxes. Large sizes are drawn smaller: the detector sees no more of them."""
    rng = np.random.default_rng(seed + 10_000_000)
    width, height = SIZES[rng.integers(len(SIZES))]
    zoom = rng.uniform(0.35, 1.0) if max(width, height) > 640 else rng.uniform(0.6, 1.0)
    scene = Scene(seed, int(width * zoom), int(height * zoom))
    for _ in range(rng.integers(0, 3)):
        scene.move(0.3)
    picture, boxes = scene.draw()
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.7:
        # JPEG with halved chroma leaves about what H.264 leaves.
        coded = io.BytesIO()
        picture.save(coded, "JPEG", quality=int(rng.integers(25, 95)), subsampling=2)
        picture = Image.open(coded).convert("RGB")
    return picture, boxes, rng


def letterbox(picture, resample=Image.Resampling.BILINEAR):
    """The picture in the middle of a grey square, the scale, and where it begins."""
    scale = min(SIDE / picture.width, SIDE / picture.height)
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    square = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    square[top : top + height, left : left + width] = np.asarray(picture.resize((width, height), resample))
    return square, scale, left, top


def detector_sample(seed):
    """A letterboxed picture and its objects: class (-1: none), left, top, right, bottom in the square's pixels."""
    picture, boxes, rng = camera_frame(seed)
    filters = [Image.Resampling(f) for f in (2, 3, 0, 4)]  # bilinear, bicubic, nearest, box
    square, scale, left, top = letterbox(picture, filters[rng.choice(4, p=[0.6, 0.15, 0.1, 0.15])])
    objects = np.zeros((MOST_OBJECTS, 5), np.float32)
    objects[:, 0] = -1
    for row, b in zip(objects, boxes):
        row[:] = LABELS.index(b.label), b.x, b.y, b.x + b.w, b.y + b.h
        row[1:] = row[1:] * scale + (left, top, left, top)
    return square, objects


def classifier_samples(seed):
    """Crops around the objects of one picture, loosely cut, with their classes."""
    picture, boxes, rng = camera_frame(seed)
    crops = []
    for b in boxes:
        jitter = rng.uniform(-0.12, 0.2, 4) * (b.w, b.h, b.w, b.h)
        edges = (b.x - jitter[0], b.y - jitter[1], b.x + b.w + jitter[2], b.y + b.h + jitter[3])
        crop = picture.resize((CROP, CROP), Image.Resampling.BILINEAR, box=clip(edges, picture))
        crops.append((np.asarray(crop), LABELS.index(b.label)))
    return crops


def clip(edges, picture):
    left, top, right, bottom = edges
    return max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height)


def many(make, seeds):
    with Pool() as pool:
        return pool.map(make, seeds, chunksize=50)
