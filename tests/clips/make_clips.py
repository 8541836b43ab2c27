#!/usr/bin/env python3
"""Makes the test clips: H.264 in MP4, with the ground truth of each frame beside them as JSON.

    python3 tests/clips/make_clips.py [NAME ...]

Needs NumPy, Pillow, and GStreamer with `x264enc` (Debian: gstreamer1.0-plugins-ugly). The clips are kept in the
repository, so nobody has to. Their seeds are used nowhere in training.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
from scene import Scene  # noqa: E402

# Of an object, as a share of the frame's longer side: what is left of a smaller one in a square of 320 pixels is no
# shape any more.
SIZES = (1 / 16, 1 / 4)
HERE = Path(__file__).resolve().parent
# Name: seed, width, height, frames a second, seconds, kbit/s, B-frames.
CLIPS = {
    "gate": (700_001, 640, 480, 30, 5, 900, 2),
    "yard": (700_002, 1280, 720, 25, 6, 1800, 3),
    "lift": (700_003, 480, 640, 15, 8, 700, 0),
    "dock": (700_004, 848, 478, 24, 4, 1000, 2),
}


def make(name, seed, width, height, fps, seconds, kilobits, b_frames):
    path = HERE / f"{name}.mp4"
    # A key frame a second, so that a seek has somewhere to go.
    line = (
        f"fdsrc fd=0 ! rawvideoparse format=rgb width={width} height={height} framerate={fps}/1 ! videoconvert"
        f" ! video/x-raw,format=I420 ! x264enc bitrate={kilobits} key-int-max={fps} bframes={b_frames}"
        f" b-adapt=false threads=1 speed-preset=slow ! video/x-h264,profile=main ! h264parse ! mp4mux"
        f" ! filesink location={path}"
    )
    encoder = subprocess.Popen(["gst-launch-1.0", "-q", *line.split()], stdin=subprocess.PIPE)
    scene = Scene(seed, width, height, objects=(4, 9), sizes=SIZES)
    frames = []
    for _ in range(fps * seconds):
        picture, boxes = scene.draw()
        encoder.stdin.write(picture.tobytes())
        frames.append(
            [{"label": b.label, **{k: round(getattr(b, k), 1) for k in ("x", "y", "w", "h")}} for b in boxes]
        )
        scene.move(1 / fps)
    encoder.stdin.close()
    if encoder.wait() != 0:
        sys.exit(f"{path} could not be encoded")
    truth = {"width": width, "height": height, "fps": [fps, 1], "frames": frames}
    path.with_suffix(".json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    objects = sum(map(len, frames))
    print(f"{path.name}: {len(frames)} frames, {objects} objects, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    for name in sys.argv[1:] or CLIPS:
        make(name, *CLIPS[name])
