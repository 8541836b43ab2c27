"""Seeded pictures of circles, squares and triangles that move over a moving, cluttered background.

The same scenes train the models, measure them and make the test clips. Every object stays inside the frame and
next to clear of the others, so each box of the ground truth is one that a detector can be asked to find.
Lengths are fractions of the frame's longer side until a frame is drawn; then they are pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

LABELS = ["circle", "square", "triangle"]
SUPERSAMPLE = 4  # shapes are drawn this much larger and averaged down, for soft edges
SMALLEST, LARGEST = 1 / 24, 1 / 4  # circumscribed box of an object before rotation
MIN_CONTRAST = 55.0  # between an object and the background's colours, see `contrast`


@dataclass(frozen=True)
class Box:
    """Tight axis-aligned box in pixels of the frame: left, top, width, height."""

    label: str
    x: float
    y: float
    w: float
    h: float


def contrast(a, b):
    """Distance of two RGB colours as video sees them: luma counts whole, chroma (stored at half size) by half."""
    r, g, b = np.asarray(a, float) - np.asarray(b, float)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return math.sqrt(luma**2 + 0.25 * ((b - luma) ** 2 + (r - luma) ** 2))


def outline(kind, rng):
    """Corners of a shape around its middle, within a circle of radius 1. A circle has many."""
    if kind == "circle":
        angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    elif kind == "square":
        angles = np.radians([45, 135, 225, 315]) + rng.uniform(-math.pi / 6, math.pi / 6)
    else:
        # Corners at least 95 degrees apart on the circle: no angle of the triangle below 47 degrees.
        gaps = np.radians(95) + rng.dirichlet([1.5, 1.5, 1.5]) * np.radians(360 - 3 * 95)
        angles = rng.uniform(0, 2 * math.pi) + np.cumsum(gaps)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


class Body:
    """Something that moves: a place, a speed, and a radius that the frame's edges and other bodies push back."""

    def __init__(self, rng, radius, speed):
        angle = rng.uniform(0, 2 * math.pi)
        self.radius = radius
        self.place = np.zeros(2)
        self.speed = speed * np.array([math.cos(angle), math.sin(angle)])

    def move(self, seconds, size):
        self.place += self.speed * seconds
        for axis in range(2):
            low, high = self.radius, size[axis] - self.radius
            if self.place[axis] < low and self.speed[axis] < 0 or self.place[axis] > high and self.speed[axis] > 0:
                self.speed[axis] = -self.speed[axis]
        self.place = np.clip(self.place, self.radius, size - self.radius)


class Shape(Body):
    """One object of the ground truth."""

    def __init__(self, rng, colours, radius):
        super().__init__(rng, radius, rng.uniform(0.03, 0.25))
        self.kind = LABELS[rng.integers(len(LABELS))]
        self.corners = outline(self.kind, rng)
        # Only triangles turn in flight: a square may be rotated somewhat, but never stands on its corner.
        self.turn = rng.uniform(-1, 1) if self.kind == "triangle" else 0.0
        self.fill = pick_colour(rng, colours)
        self.shade = rng.uniform(-30, 30, 3) if rng.random() < 0.6 else np.zeros(3)
        self.edge = tuple(int(c) for c in pick_colour(rng, colours)) if rng.random() < 0.3 else None

    def spin(self, seconds):
        c, s = math.cos(self.turn * seconds), math.sin(self.turn * seconds)
        self.corners = self.corners @ np.array([[c, s], [-s, c]])

    def draw(self, frame, scale):
        corners = (self.place + self.radius * self.corners) * scale
        low, high = corners.min(0), corners.max(0)
        left, top = np.floor(low).astype(int)
        width, height = np.ceil(high).astype(int) - (left, top)

        # Its colour changes evenly from top to bottom.
        ramp = np.linspace(-1, 1, height)[:, None] * self.shade + self.fill
        paint = Image.fromarray(np.clip(ramp, 0, 255).astype(np.uint8)[:, None, :]).resize((width, height))
        inner = corners
        if self.edge:
            frame.paste(self.edge, (left, top), soft_mask(corners - (left, top), width, height))
            middle = corners.mean(0)
            inner = middle + (corners - middle) * 0.82
        frame.paste(paint, (left, top), soft_mask(inner - (left, top), width, height))
        return Box(self.kind, *(float(v) for v in (*low, *(high - low))))


def soft_mask(corners, width, height):
    mask = Image.new("L", (width * SUPERSAMPLE, height * SUPERSAMPLE))
    # Pillow draws a corner at a pixel's middle; ours are measured from its edge.
    points = [tuple(p) for p in corners * SUPERSAMPLE - 0.5]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return mask.reduce(SUPERSAMPLE)


def pick_colour(rng, avoid):
    """Any colour that stands out from those to avoid; the most outstanding of many where none is far enough."""
    colours = rng.uniform(0, 255, (32, 3))
    far = [min(contrast(c, a) for a in avoid) for c in colours]
    return next((c for c, f in zip(colours, far) if f >= MIN_CONTRAST), colours[int(np.argmax(far))])


class Clutter(Body):
    """A thing that is none of the classes: a stroke, an arc, a cross, a zigzag or a long ellipse."""

    def __init__(self, rng):
        super().__init__(rng, rng.uniform(0.02, 0.14), rng.uniform(0.0, 0.2))
        self.kind = rng.choice(["stroke", "arc", "cross", "zigzag", "ellipse"])
        self.angle = rng.uniform(0, 360)
        self.turn = rng.uniform(-40, 40)
        self.colour = tuple(int(c) for c in rng.uniform(0, 255, 3))
        self.thick = rng.uniform(0.08, 0.3)
        self.bends = rng.uniform(-0.8, 0.8, 6)

    def draw(self, frame, scale):
        half = self.radius * scale * 2  # drawn at twice the size
        n = max(int(2 * half), 8)
        mask = Image.new("L", (n, n))
        pen = ImageDraw.Draw(mask)
        thick = max(int(self.thick * half), 2)
        along = np.linspace(0.04, 0.96, len(self.bends)) * n
        if self.kind == "stroke":
            pen.line([(0.04 * n, n / 2), (0.96 * n, n / 2)], fill=255, width=max(thick // 2, 2))
        elif self.kind == "arc":
            pen.arc((0, 0, n - 1, n - 1), 0, 90 + 100 * abs(self.bends[0]), fill=255, width=thick)
        elif self.kind == "cross":
            pen.line([(0, n / 2), (n, n / 2)], fill=255, width=thick)
            pen.line([(n / 2, 0), (n / 2, n)], fill=255, width=thick)
        elif self.kind == "zigzag":
            points = [(x, n / 2 * (1 + 0.6 * b)) for x, b in zip(along, self.bends)]
            pen.line(points, fill=255, width=max(thick // 2, 2), joint="curve")
        else:
            high = n * (0.12 + 0.3 * self.thick / 0.3)
            pen.ellipse((0, (n - high) / 2, n - 1, (n + high) / 2), fill=255)
        mask = mask.rotate(self.angle, Image.Resampling.BILINEAR).reduce(2)
        left, top = np.round(self.place * scale - mask.width / 2).astype(int)
        frame.paste(self.colour, (int(left), int(top)), mask)


class Background:
    """A gradient between two colours under a patch of coloured noise of several grains that drifts by."""

    def __init__(self, rng, size):
        self.colours = rng.uniform(0, 255, (2, 3))
        if rng.random() < 0.5:  # half of them: two colours near each other
            self.colours[1] = np.clip(self.colours[0] + rng.uniform(-70, 70, 3), 0, 255)
        self.angle, self.turn = rng.uniform(0, 2 * math.pi), rng.uniform(-0.5, 0.5)
        self.drift = Body(rng, 0.0, rng.uniform(0.02, 0.12))
        self.drift.place = rng.uniform(0, 0.3, 2)
        self.size = size
        n = 384  # the noise patch is square and covers 1.3 times the longer side
        self.noise = np.zeros((n, n, 3), np.float32)
        for grain in (4, 12, 40, 130, n):
            cells = rng.normal(0, 1, (grain, grain, 1 if rng.random() < 0.5 else 3)) * rng.uniform(0, 14)
            cells = np.broadcast_to(cells, (grain, grain, 3)).astype(np.float32)
            for c in range(3):
                plane = Image.fromarray(np.ascontiguousarray(cells[..., c]))
                self.noise[..., c] += np.asarray(plane.resize((n, n), Image.Resampling.BICUBIC))

    def palette(self):
        return [self.colours[0] * (1 - t) + self.colours[1] * t for t in (0, 0.25, 0.5, 0.75, 1)]

    def move(self, seconds):
        self.angle += self.turn * seconds
        self.drift.move(seconds, np.array([0.3, 0.3]))

    def draw(self, width, height, scale):
        small_w, small_h = max(width // 8, 8), max(height // 8, 8)
        x = np.linspace(-1, 1, small_w)[None, :] * math.cos(self.angle)
        y = np.linspace(-1, 1, small_h)[:, None] * math.sin(self.angle)
        t = np.clip(0.5 + 0.5 * (x + y), 0, 1)[..., None]
        ramp = Image.fromarray((self.colours[0] * (1 - t) + self.colours[1] * t).astype(np.uint8))
        ramp = np.asarray(ramp.resize((width, height), Image.Resampling.BILINEAR), np.int16)

        cell = self.noise.shape[0] / 1.3 / scale
        left, top = self.drift.place / 1.3 * self.noise.shape[0]
        noise = np.clip(self.noise + 128, 0, 255).astype(np.uint8)
        view = Image.fromarray(noise).transform(
            (width, height), Image.Transform.AFFINE, (cell, 0, left, 0, cell, top), Image.Resampling.BILINEAR
        )
        return Image.fromarray(np.clip(ramp + np.asarray(view) - 128, 0, 255).astype(np.uint8))


class Scene:
    """A moving picture. `draw` gives the frame of now with its ground truth, `move` lets time pass."""

    def __init__(self, seed, width, height, objects=(0, 12), clutter=(2, 14), sizes=(SMALLEST, LARGEST)):
        rng = np.random.default_rng(seed)
        self.width, self.height = width, height
        self.scale = max(width, height)
        self.size = np.array([width, height]) / self.scale
        self.background = Background(rng, self.size)
        self.clutter = [Clutter(rng) for _ in range(rng.integers(*clutter, endpoint=True))]
        for body in self.clutter:
            body.place = rng.uniform(body.radius, self.size - body.radius)
        self.shapes = []
        colours = self.background.palette()
        for _ in range(rng.integers(*objects, endpoint=True)):
            radius = 0.5 * math.exp(rng.uniform(math.log(sizes[0]), math.log(sizes[1])))
            shape = Shape(rng, colours, radius * (math.sqrt(2) if rng.random() < 0.5 else 1.0))
            self.settle(shape, rng)

    def settle(self, shape, rng):
        """Puts a shape where it is clear of the others; leaves it out where there is no room."""
        if 2 * shape.radius >= self.size.min():
            return
        for _ in range(20):
            shape.place = rng.uniform(shape.radius, self.size - shape.radius)
            if all(gap(shape, other) > 0 for other in self.shapes):
                self.shapes.append(shape)
                return

    def move(self, seconds):
        self.background.move(seconds)
        for body in self.clutter:
            body.move(seconds, self.size)
            body.angle += body.turn * seconds
        for shape in self.shapes:
            shape.move(seconds, self.size)
            shape.spin(seconds)
        for i, a in enumerate(self.shapes):
            for b in self.shapes[i + 1 :]:
                bounce(a, b)
        # A push from a neighbour must not leave a shape outside.
        for shape in self.shapes:
            shape.place = np.clip(shape.place, shape.radius, self.size - shape.radius)

    def draw(self):
        """An RGB picture and the boxes of its objects."""
        frame = self.background.draw(self.width, self.height, self.scale)
        for body in self.clutter:
            body.draw(frame, self.scale)
        return frame, [shape.draw(frame, self.scale) for shape in self.shapes]


def gap(a, b):
    """Room between two bodies; they may overlap by a tenth."""
    return float(np.hypot(*(a.place - b.place)) - 0.9 * (a.radius + b.radius))


def bounce(a, b):
    """Two bodies that touch swap their speeds along the line between them and are pushed apart."""
    room = gap(a, b)
    if room > 0:
        return
    line = b.place - a.place
    line = line / max(float(np.hypot(*line)), 1e-9)
    closing = float((a.speed - b.speed) @ line)
    if closing > 0:
        a.speed = a.speed - closing * line
        b.speed = b.speed + closing * line
    a.place = a.place + line * room / 2
    b.place = b.place - line * room / 2
