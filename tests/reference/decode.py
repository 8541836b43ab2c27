#!/usr/bin/env python3
"""Makes small model outputs and works out, in NumPy and double precision, what they mean.

Writes `decode/cases.json` and `decode/tensors.bin` beside itself; the unit tests in `src/inference/decode/reference.rs`
hold every decoder against them. Needs NumPy only, and gives the same files on every run:

    python3 tests/reference/decode.py

A case whose outcome would hang on a rounding error (a score at the threshold, an overlap at the limit, two scores that
are almost equal) is refused here, unless it is built of numbers that are exact in every precision.
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent / "decode"
PARAMS = {"threshold": 0.25, "iou_threshold": 0.7, "max_detections": 300}
LAYOUTS = ("v8", "v8-rows", "v5")


# The reference.


def placement(frame, model, fit):
    """Scale on each axis (model's pixels for one of the frame's) and the picture's corner in the model's input."""
    frame, model = np.array(frame, float), np.array(model, float)
    size = model if fit == "stretch" else np.maximum(1, np.round(frame * (model / frame).min()))
    return size / frame, np.floor((model - size) / 2)


def iou(a, b):
    overlap = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = overlap.prod() if (overlap > 0).all() else 0.0
    return both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both)


def finish(boxes, scores, classes, case, suppress):
    """Sorts, suppresses, cuts, and maps to the frame. `boxes` are corners in the model's input, one a row."""
    params = case["params"]
    usable = np.isfinite(boxes).all(1) & np.isfinite(scores) & (boxes[:, :2] < boxes[:, 2:]).all(1)
    usable &= np.isfinite(classes) & (classes >= 0)
    refuse_near(scores[usable], params["threshold"], 1e-5, case)
    usable &= scores >= params["threshold"]
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((rows, -scores[rows]))]
    gaps = -np.diff(scores[rows])
    assert case.get("exact") or ((gaps == 0) | (gaps > 1e-6)).all(), f"{case['name']}: scores almost equal"
    kept = []
    for row in rows:
        rivals = [k for k in kept if classes[k] == classes[row]] if suppress else []
        overlaps = np.array([iou(boxes[k], boxes[row]) for k in rivals])
        refuse_near(overlaps, params["iou_threshold"], 1e-5, case)
        if not (overlaps > params["iou_threshold"]).any():
            kept.append(row)
    scale, corner = placement(case["frame"], case["model"], case["fit"])
    objects = []
    for row in kept[: params["max_detections"]]:
        corners = (boxes[row].reshape(2, 2) - corner) / scale
        (x1, y1), (x2, y2) = np.clip(corners, 0, case["frame"])
        if x2 > x1 and y2 > y1:
            box = [round(float(n), 2) for n in (x1, y1, x2 - x1, y2 - y1)]
            objects.append([int(round(classes[row])), round(float(scores[row]), 6), *box])
    return {"objects": objects}


def refuse_near(values, limit, margin, case):
    near = (np.abs(values - limit) < margin) & (limit > 0)  # Nothing lies below 0.
    assert case.get("exact") or not near.any(), f"{case['name']}: {values[near]} are too near to {limit}"


def from_center(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def best(scores):
    """Greatest finite score of each row, and its column; a row without one has NaN."""
    finite = np.where(np.isfinite(scores), scores, -np.inf)
    if scores.shape[1] == 0:
        return np.full(len(scores), np.nan), np.zeros(len(scores))
    most = finite.max(1)
    return np.where(np.isfinite(most), most, np.nan), finite.argmax(1).astype(float)


def softmax(logits):
    finite = np.isfinite(logits)
    if not finite.any():
        return np.zeros_like(logits)
    powers = np.where(finite, np.exp(np.where(finite, logits, 0) - logits[finite].max()), 0)
    return powers / powers.sum()


def reference(case, frame):
    """What one frame's share of the outputs, in double precision, means."""
    wide = np.array(case["model"] * 2, float)
    match case["decoder"]:
        case "yolo":
            (rows,) = frame
            rows = rows.T if case["layout"] == "v8" else rows
            head = 5 if case["layout"] == "v5" else 4
            scores, classes = best(rows[:, head:])
            if case["layout"] == "v5":
                scores = scores * rows[:, 4]
            boxes = rows[:, :4] * wide if case.get("normalized") else rows[:, :4]
            return finish(from_center(boxes), scores, classes, case, suppress=True)
        case "yolo-end2end":
            (rows,) = frame
            return finish(rows[:, :4], rows[:, 4], rows[:, 5], case, suppress=False)
        case "ssd":
            boxes, scores, classes, count = frame
            count = count.reshape(-1)[0]
            many = int(min(max(count, 0), len(scores))) if np.isfinite(count) else 0
            boxes = boxes[:many, [1, 0, 3, 2]] * wide
            return finish(boxes, scores[:many], classes[:many], case, suppress=False)
        case "detr":
            boxes, logits = frame
            if logits.shape[1] == case["classes"]:
                scores, classes = best(np.where(np.isfinite(logits), 1 / (1 + np.exp(-logits)), np.nan))
            else:
                scores, classes = best(np.array([softmax(row) for row in logits]).reshape(logits.shape)[:, :-1])
            return finish(from_center(boxes * wide), scores, classes, case, suppress=False)
        case "classifier":
            scores = frame[0].reshape(-1)
            finite = scores[np.isfinite(scores)]
            plain = (finite >= 0).all() and (finite <= 1).all() and abs(finite.sum() - 1) < 1e-3
            plain = case.get("softmaxed", plain)
            shares = scores if plain else softmax(scores)
            refuse_near(shares[np.isfinite(scores)], case["params"]["threshold"], 1e-5, case)
            order = np.lexsort((np.arange(len(shares)), -shares))
            sure = [i for i in order if np.isfinite(scores[i]) and shares[i] >= case["params"]["threshold"]]
            return {"classes": [[int(i), round(float(shares[i]), 6)] for i in sure[: case["params"]["max_detections"]]]}


# The cases.


class Fixtures:
    def __init__(self):
        self.cases, self.blob, self.offsets = [], bytearray(), {}

    def add(self, name, decoder, outputs, element="float32", batch=1, index=0, fixed_batch=None, **more):
        """`outputs`: name, tensor with the batch first, and perhaps the id and the type of each."""
        case = {"name": name, "decoder": decoder, "batch": batch, "index": index}
        case |= {"frame": (640, 480), "model": (320, 320), "fit": "letterbox", "classes": None} | more
        case["params"] = PARAMS | case.get("params", {})
        case["outputs"], frame = [], []
        for output in outputs:
            own = output.get("element", element)
            data = output["data"].astype(np.dtype(own).newbyteorder("<"))
            dims = [fixed_batch, *data.shape[1:]]
            entry = {"name": output["name"], "id": output.get("id"), "element": own, "declared": dims}
            offset = self.offsets.setdefault(data.tobytes(), len(self.blob))
            if offset == len(self.blob):
                self.blob += data.tobytes()
            case["outputs"].append(entry | {"dims": data.shape, "offset": offset})
            frame.append(data[index].astype(float))
        case["expected"] = reference(case, frame)
        self.cases.append(case)

    def write(self):
        HERE.mkdir(exist_ok=True)
        (HERE / "tensors.bin").write_bytes(self.blob)
        keep = ("name", "decoder", "batch", "index", "frame", "model", "fit", "classes", "params", "outputs", "expected")
        lines = [json.dumps({key: case[key] for key in keep}, separators=(",", ":")) for case in self.cases]
        (HERE / "cases.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
        print(f"{len(lines)} cases, {len(self.blob)} bytes of tensors")


def scene(seed, anchors=50, objects=6, classes=3, size=(320, 320)):
    """Boxes (centre, size), their class scores and objectness: objects seen by several anchors each, and clutter."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, objects, anchors)
    centers = rng.uniform(0.05, 0.95, (objects, 2)) * size
    sizes = rng.uniform(0.08, 0.4, (objects, 2)) * size
    jitter = rng.normal(0, 0.08, (anchors, 4))
    boxes = np.concatenate([centers[target] + jitter[:, :2] * sizes[target], sizes[target] * np.exp(jitter[:, 2:])], 1)
    scores = rng.uniform(0, 0.2, (anchors, classes))
    sure = rng.random(anchors) < 0.6
    kind = (target + (rng.random(anchors) < 0.15)) % classes
    scores[np.arange(anchors), kind] = np.where(sure, rng.uniform(0.2, 0.99, anchors), 0.1)
    return boxes, scores, rng.uniform(0.3, 1, anchors)


def yolo(layout, boxes, scores, objectness=None):
    """One frame of a YOLO's output."""
    if layout == "v5":
        objectness = np.ones(len(boxes)) if objectness is None else objectness
        return np.concatenate([boxes, objectness[:, None], scores], 1)
    rows = np.concatenate([boxes, scores], 1)
    return rows.T if layout == "v8" else rows


def yolo_cases(fixtures):
    def add(name, layout, frames, classes=3, **more):
        ids = {"v8": "yolo-v8-out", "v8-rows": "yolo-v8-out", "v5": "yolox-out"}
        id = "yolo-v8-out-normalized" if more.get("normalized") else ids[layout] if more.pop("with_id", False) else None
        outputs = [{"name": "output0", "data": np.stack(frames), "id": id}]
        fixtures.add(f"{layout}: {name}", "yolo", outputs, classes=classes, layout=layout, **more)

    for seed, layout in enumerate(LAYOUTS):
        objects = scene(seed)
        add("overlapping boxes of several classes", layout, [yolo(layout, *objects)])
        add("half precision", layout, [yolo(layout, *scene(10 + seed))], element="float16")
        add("stretched", layout, [yolo(layout, *objects)], fit="stretch", frame=(100, 700))
        add("letterbox of 1920x1080", layout, [yolo(layout, *scene(20 + seed))], frame=(1920, 1080))
        for limit in (0.0, 0.3, 0.95, 1.0):
            add(f"overlap up to {limit}", layout, [yolo(layout, *scene(30 + seed))], params={"iou_threshold": limit})
        add("threshold of 0", layout, [yolo(layout, *scene(40 + seed))], params={"threshold": 0.0})
        for many in (0, 1, 4):
            add(f"at most {many}", layout, [yolo(layout, *objects)], params={"max_detections": many})
        batch = [yolo(layout, *scene(50 + 3 * seed + i)) for i in range(3)]
        for index in (0, 2):
            add(f"frame {index} of 3", layout, batch, batch=3, index=index)
        add("padded to a fixed batch of 3", layout, batch, batch=2, index=1, fixed_batch=3)
        add("nothing sure enough", layout, [yolo(layout, objects[0], objects[1] * 0.2)])
        add("no anchors", layout, [yolo(layout, *(part[:0] for part in objects))])
        add("one class", layout, [yolo(layout, *scene(60 + seed, classes=1))], classes=1)

        boxes = np.array([[100.0, 120, 40, 60]] * 20)
        scores = np.zeros((20, 3))
        scores[:, 1] = np.linspace(0.3, 0.9, 20)
        add("all suppressed but one", layout, [yolo(layout, boxes, scores)])
        scores[5, 1], scores[5, 2] = 0, 0.5
        add("another class is not suppressed", layout, [yolo(layout, boxes, scores)])

        # 1/3 overlap: 64 x 64 against the same moved by half. Exact in every precision.
        boxes = np.array([[32.0 * i + 64, 128, 64, 64] for i in range(6)])
        scores = np.full((6, 3), 0.125)
        scores[:, 2] = [0.5, 0.75, 0.5, 0.75, 0.5, 0.25]
        add("equal scores, threshold met exactly", layout, [yolo(layout, boxes, scores)], exact=True)
        chain = {"iou_threshold": 0.25}
        add("what is suppressed suppresses nothing", layout, [yolo(layout, boxes, scores)], exact=True, params=chain)
        scores[:, 1] = scores[:, 2]
        add("equal classes", layout, [yolo(layout, boxes, scores)], exact=True)
        # Overlap 0.5: at the limit, not beyond it.
        halves = np.array([[64.0, 64, 64, 64], [64, 48, 64, 32], [64, 80, 64, 32]])
        at_limit = [yolo(layout, halves, np.array([[0.5, 0, 0], [0.75, 0, 0], [0.25, 0, 0]]))]
        add("overlap at the limit", layout, at_limit, exact=True, params={"iou_threshold": 0.5})

        boxes, scores, objectness = scene(70 + seed)
        for row, bad in enumerate([np.nan, np.inf, -np.inf] * 5):
            if row < 12:
                boxes[row, row // 3] = bad
            elif row < 15:
                objectness[row] = bad
        scores[20:30, 0], scores[25:32, 1], scores[28:36, 2] = np.nan, np.inf, -np.inf
        # The sure class comes before one that is no number, in the surest boxes.
        boxes[40:44] = [[40 + 80 * i, 160, 60, 30] for i in range(4)]
        scores[40:44] = [[0.99, 0, np.nan], [0.98, np.nan, 0], [0.97, 0, np.inf], [0.96, np.nan, np.nan]]
        for element in ("float32", "float16"):
            bad = [yolo(layout, boxes, scores, objectness)]
            add(f"numbers that are not finite, {element}", layout, bad, element=element)
        add("nothing is finite", layout, [np.full_like(yolo(layout, boxes, scores), np.nan)])

        boxes = np.array([[0.0, 100, 50, 60], [319, 160, 40, 40], [100, 39, 30, 30], [100, 20, 30, 20], [200, 290, 40, 30],
                          [-100, 50, 20, 20], [160, 160, 900, 900], [160, 160, 0, 50], [160, 160, 50, -5]])
        over = [yolo(layout, boxes, np.linspace([0.9, 0, 0], [0.3, 0, 0], len(boxes)))]
        add("over the border and in the padding", layout, over)
        add("what is in the padding counts for max-detections", layout, over, params={"max_detections": 4})

    # More than one block of anchors, and not a whole number of them.
    add("700 anchors", "v8", [yolo("v8", *scene(80, anchors=700, objects=25))])
    boxes, scores = np.ones((700, 4)), np.zeros((700, 3))
    for place, anchor in enumerate([0, 255, 256, 511, 512, 699]):
        boxes[anchor], scores[anchor, place % 3] = [30 + 50 * place, 160, 40, 40], 0.9 - 0.1 * place
    add("the ends of the blocks", "v8", [yolo("v8", boxes, scores)])
    add("700 anchors, half precision", "v8", [yolo("v8", *scene(81, anchors=700, objects=25))], element="float16")
    boxes, scores, _ = scene(82)
    add("normalised", "v8", [yolo("v8", boxes / 320, scores)], normalized=True)
    add("labels unknown, known by its id", "v8", [yolo("v8", *scene(83))], classes=None, with_id=True)
    add("labels unknown, known by its id", "v5", [yolo("v5", *scene(84))], classes=None, with_id=True)


def end2end_cases(fixtures):
    def rows(seed, many=40):
        boxes, scores, _ = scene(seed, anchors=many, classes=5)
        return np.concatenate([from_center(boxes), scores.max(1)[:, None], scores.argmax(1)[:, None]], 1)

    def add(name, frames, **more):
        fixtures.add(f"end2end: {name}", "yolo-end2end", [{"name": "output0", "data": np.stack(frames)}], **more)

    add("as it comes, overlapping", [rows(100)], frame=(1920, 1080))
    add("half precision", [rows(101)], element="float16")
    add("at most 3", [rows(102)], params={"max_detections": 3})
    for index in (0, 2):
        add(f"frame {index} of 3", [rows(103 + i) for i in range(3)], batch=3, index=index)
    add("no rows", [rows(106)[:0]])
    add("nothing sure enough", [rows(107)], params={"threshold": 0.999})
    equal = rows(108)
    equal[:, 4] = np.tile([0.5, 0.75, 0.25, 0.125], 10)
    add("equal scores", [equal], exact=True)
    bad = rows(109)
    for row, number in enumerate([np.nan, np.inf, -np.inf] * 6):
        bad[row, row // 3] = number
    bad[18, 5] = -3
    add("numbers that are not finite", [bad])
    bad[20:24, 0] = bad[20:24, 2]
    add("boxes without width", [bad])


def ssd_cases(fixtures):
    names = ("detection_boxes:0", "detection_scores:0", "detection_classes:0", "num_detections:0")
    ids = [f"ssd-mobilenet-v1-variant-1-out-{part}" for part in ("boxes", "scores", "classes")]
    ids.append("generic-variant-1-out-count")

    def frame(seed, many=25, count=20):
        boxes, scores, _ = scene(seed, anchors=many, size=(1, 1))
        corners = from_center(boxes)[:, [1, 0, 3, 2]]
        return [corners, scores.max(1), scores.argmax(1) + 1.0, np.array(float(count))]

    def add(name, frames, class_type="float32", names=names, ids=(None,) * 4, count_shape=(), **more):
        outputs = [{"name": n, "id": i, "data": np.stack(t)} for n, i, t in zip(names, ids, zip(*frames))]
        outputs[2]["element"] = class_type
        outputs[3]["data"] = outputs[3]["data"].reshape(-1, *count_shape)
        fixtures.add(f"ssd: {name}", "ssd", outputs, **more)

    add("as TensorFlow names it", [frame(200)], frame=(1920, 1080))
    add("by id", [frame(201)], names=("a", "b", "c", "d"), ids=ids)
    add("classes int64, by shape and type", [frame(202)], names=("a", "b", "c", "d"), class_type="int64")
    add("classes int32, count [N, 1]", [frame(203)], class_type="int32", count_shape=(1,))
    add("half precision", [frame(204)], element="float16")
    for index in (0, 2):
        add(f"frame {index} of 3", [frame(205 + i, count=5 + 6 * i) for i in range(3)], batch=3, index=index)
    add("count of 0", [frame(208, count=0)])
    add("count beyond the rows", [frame(209, count=1000)])
    add("negative count", [frame(210, count=-1)])
    add("count is no number", [frame(211, count=np.nan)])
    add("no rows", [frame(212, many=0, count=0)])
    add("stretched, at most 2", [frame(213)], fit="stretch", params={"max_detections": 2})
    bad = frame(214)
    bad[0][0:4, 1], bad[0][4, 2], bad[1][5:8], bad[2][8], bad[2][9] = np.nan, np.inf, [np.nan, np.inf, -np.inf], np.nan, -1
    add("numbers that are not finite", [bad])


def detr_cases(fixtures):
    def frame(seed, many=30, classes=4, no_object=True):
        rng = np.random.default_rng(seed)
        boxes, _, _ = scene(seed, anchors=many, size=(1, 1))
        logits = rng.normal(0 if no_object else -3, 2, (many, classes + no_object))
        logits[np.arange(many), rng.integers(0, classes + no_object, many)] += 4
        return [boxes, logits]

    def add(name, frames, names=("pred_boxes", "logits"), classes=4, **more):
        outputs = [{"name": n, "data": np.stack(t)} for n, t in zip(names, zip(*frames))]
        fixtures.add(f"detr: {name}", "detr", outputs, classes=classes, **more)

    add("softmax with no-object", [frame(300)], frame=(1920, 1080))
    add("sigmoid", [frame(301, no_object=False)], frame=(1920, 1080))
    add("names say nothing", [frame(302, classes=7)], names=("a", "b"), classes=7)
    add("half precision, softmax", [frame(303)], element="float16")
    add("half precision, sigmoid", [frame(304, no_object=False)], element="float16")
    for index in (0, 2):
        add(f"frame {index} of 3", [frame(305 + i) for i in range(3)], batch=3, index=index)
    add("no queries", [frame(308, many=0)])
    add("stretched, at most 2", [frame(309)], fit="stretch", params={"max_detections": 2})
    nothing = frame(310)
    nothing[1][:, -1] = 20
    add("nothing but no-object", [nothing])
    equal = frame(311, many=4)
    equal[1][:] = [[0, 3, 0, 3, 0]]
    add("equal scores and classes", [equal], exact=True)
    large = frame(312)
    large[1][::2] += 1000
    large[1][1::2] -= 1000
    add("logits beyond exp", [large])
    for no_object in (True, False):
        bad = frame(313 + no_object, no_object=no_object)
        bad[0][0:3, 0], bad[0][3, 3], bad[1][4:8, 1], bad[1][8:12, 2] = np.nan, np.inf, np.nan, np.inf
        bad[1][12:14], bad[1][14:20, 0] = np.nan, -np.inf
        add(f"numbers that are not finite, {'softmax' if no_object else 'sigmoid'}", [bad])


def classifier_cases(fixtures):
    def logits(seed, classes=20):
        return np.random.default_rng(seed).normal(0, 3, classes)

    def add(name, frames, id=None, **more):
        fixtures.add(f"classifier: {name}", "classifier", [{"name": "out", "data": np.stack(frames), "id": id}], **more)

    all = {"threshold": 0.0}
    add("logits", [logits(400)], params={"threshold": 0.05})
    add("logits, all classes", [logits(401)], params=all)
    add("softmaxed already", [softmax(logits(402))], params=all)
    add("softmaxed already, half precision, 1000 classes", [softmax(logits(403, 1000))], element="float16",
        params={"threshold": 0.0, "max_detections": 5}, exact=True)
    add("logits, half precision, at most 3", [logits(404)], element="float16", params=all | {"max_detections": 3})
    add("a pixel of channels", [logits(405).reshape(-1, 1, 1)], params=all)
    for index in (0, 2):
        add(f"frame {index} of 3", [logits(406 + i) for i in range(3)], batch=3, index=index, params=all)
    add("logits that look like a distribution, by id", [np.array([0.5, 0.25, 0.25, 0])], softmaxed=False,
        id="classification-generic-out", params=all)
    add("independent probabilities, by id", [np.array([0.9, 0.8, 0.1, 0.7])], softmaxed=True,
        id="classification-generic-softmaxed-out")
    add("probabilities that do not sum up to 1", [np.array([0.9, 0.8, 0.1, 0.7])], params=all)
    add("nothing sure enough", [np.zeros(20)])
    add("equal classes", [np.array([1.0, 2, 2, 0])], params=all)
    add("logits beyond exp", [np.array([1000.0, 999, -1000, 998])], params=all)
    add("numbers that are not finite", [np.array([1.0, np.nan, 2, np.inf, 0, -np.inf])], params=all)
    add("nothing is finite", [np.full(5, np.nan)], params=all)


def main():
    fixtures = Fixtures()
    for cases in (yolo_cases, end2end_cases, ssd_cases, detr_cases, classifier_cases):
        cases(fixtures)
    fixtures.write()


if __name__ == "__main__":
    main()
