#!/usr/bin/env python3
"""Writes the small ONNX models in tests/models.

Run it with `onnx` and `numpy` installed. What it writes is committed, so that tests need no Python. The same versions
write the same bytes. Every model is below 3 kB and tells by its arithmetic what it was fed.

    mean                  [N,3,64,64] float32 -> `mean` [N,3]: the mean of each channel
    mean-batch1, -batch4  the same with a batch that is fixed
    mean-f16              the same in float16, in and out
    mean-nhwc-uint8       [N,64,64,3] uint8 -> `mean` [N,3] float32, 0 to 255
    dynamic-size          [N,3,H,W]: height and width left open
    open-shape            four dimensions, all left open
    external              `mean` times a factor of 2 that lies in external.bin
    types                 [N,3,64,64] -> outputs of each type that is read, the mean times 100
    two-inputs, int64-input, string-input, no-image ([N,10])
                          models that no frame can be fed to
    string-output         `mean` as text
    bad-run               `mean` of black frames; any sample of 0.5 or more in the batch makes the run fail
    bad-batch             `mean`; every batch but that of one frame makes the run fail
    bad-start             every run fails
    slow                  `mean`; the brighter the brightest sample of the batch, the longer a run takes: a black frame
                          no time, a white one seconds
    slow-start            `mean`; every run takes seconds, that of the warm-up as well
    echo-yolo             [N,3,64,64] -> `output0` [N,7,64]: the layout of YOLO v8 with an 8x8 grid of boxes of 8x8
                          pixels that touch one another; the scores of the classes red, green and blue are the mean of
                          that channel inside the box
    echo-yolo-open        the same, and all dimensions of its output are open
    echo-yolo-seg         the same as a segmentation: `output0` [N,9,64] and the prototypes of two masks, `output1`
                          [N,2,16,16], of which each box has the first: 1 in the left half of the input, -1 in the right
    echo-ssd              the same boxes as an SSD: top, left, bottom, right in parts of the input, the best of the three
                          scores, its class (int64) and the count; echo-ssd.onnx.modelinfo says which is which
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = Path(__file__).resolve().parent.parent / "models"
OPSET = 17
IR_VERSION = 8
IMAGE = ["batch", 3, 64, 64]
FLOAT = TensorProto.FLOAT
# Rounds of a loop that takes seconds.
SLOW_ROUNDS = 3_000_000

node = helper.make_node
info = helper.make_tensor_value_info


def constant(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def channel_mean(source="images", target="mean", axes=(2, 3)):
    return node("ReduceMean", [source], [target], axes=list(axes), keepdims=0)


def save(name, nodes, inputs, outputs, constants=(), metadata=None, **options):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    path = MODELS / f"{name}.onnx"
    onnx.save(model, path, **options)
    assert path.stat().st_size < 3072, f"{path} has {path.stat().st_size} bytes"


def means():
    for name, batch in [("mean", "batch"), ("mean-batch1", 1), ("mean-batch4", 4)]:
        save(name, [channel_mean()], [info("images", FLOAT, [batch, *IMAGE[1:]])], [info("mean", FLOAT, [batch, 3])])
    half = TensorProto.FLOAT16
    save("mean-f16", [channel_mean()], [info("images", half, IMAGE)], [info("mean", half, ["batch", 3])])
    save(
        "mean-nhwc-uint8",
        [node("Cast", ["images"], ["floats"], to=FLOAT), channel_mean("floats", axes=(1, 2))],
        [info("images", TensorProto.UINT8, ["batch", 64, 64, 3])],
        [info("mean", FLOAT, ["batch", 3])],
    )
    for name, shape in [("dynamic-size", ["batch", 3, "height", "width"]), ("open-shape", [None] * 4)]:
        save(name, [channel_mean()], [info("images", FLOAT, shape)], [info("mean", FLOAT, [shape[0], shape[1]])])


def external():
    """ONNX Runtime has to find the second file, which lies beside the first."""
    (MODELS / "external.bin").unlink(missing_ok=True)
    save(
        "external",
        [channel_mean(target="plain"), node("Mul", ["plain", "factor"], ["mean"])],
        [info("images", FLOAT, IMAGE)],
        [info("mean", FLOAT, ["batch", 3])],
        [constant("factor", [2, 2, 2], np.float32)],
        save_as_external_data=True,
        location="external.bin",
        size_threshold=0,
    )


def types():
    named = {
        "float32": FLOAT,
        "float16": TensorProto.FLOAT16,
        "uint8": TensorProto.UINT8,
        "int8": TensorProto.INT8,
        "int32": TensorProto.INT32,
        "int64": TensorProto.INT64,
        "bool": TensorProto.BOOL,
    }
    save(
        "types",
        [channel_mean(), node("Mul", ["mean", "hundred"], ["scaled"])]
        + [node("Cast", ["scaled"], [name], to=kind) for name, kind in named.items()],
        [info("images", FLOAT, IMAGE)],
        [info(name, kind, ["batch", 3]) for name, kind in named.items()],
        [constant("hundred", 100, np.float32)],
    )


def unusable():
    out = [info("mean", FLOAT, ["batch", 3])]
    save(
        "two-inputs",
        [node("Add", ["images", "others"], ["sum"]), channel_mean("sum")],
        [info("images", FLOAT, IMAGE), info("others", FLOAT, IMAGE)],
        out,
    )
    save(
        "int64-input",
        [node("Cast", ["images"], ["floats"], to=FLOAT), channel_mean("floats")],
        [info("images", TensorProto.INT64, IMAGE)],
        out,
    )
    text = TensorProto.STRING
    save("string-input", [node("Identity", ["images"], ["copy"])], [info("images", text, IMAGE)], [info("copy", text, IMAGE)])
    vector = ["batch", 10]
    save("no-image", [node("Relu", ["features"], ["rectified"])], [info("features", FLOAT, vector)], [info("rectified", FLOAT, vector)])
    save(
        "string-output",
        [channel_mean(), node("Cast", ["mean"], ["text"], to=text)],
        [info("images", FLOAT, IMAGE)],
        [info("text", text, ["batch", 3])],
    )


def failing():
    images = [info("images", FLOAT, IMAGE)]
    out = [info("mean", FLOAT, ["batch", 3])]
    # The index is 0 as long as the brightest sample is below 0.5; there is nothing at any other.
    save(
        "bad-run",
        [
            channel_mean(target="plain"),
            node("ReduceMax", ["images"], ["brightest"], keepdims=0),
            node("Mul", ["brightest", "two"], ["doubled"]),
            node("Cast", ["doubled"], ["index"], to=TensorProto.INT64),
            node("Gather", ["zero", "index"], ["nothing"]),
            node("Add", ["plain", "nothing"], ["mean"]),
        ],
        images,
        out,
        [constant("two", 2, np.float32), constant("zero", [0], np.float32)],
    )
    save(
        "bad-batch",
        [channel_mean(target="plain"), node("Reshape", ["plain", "one"], ["mean"])],
        images,
        out,
        [constant("one", [1, 3], np.int64)],
    )
    # The batch as an index, 1 or more, into a tensor of one number.
    save(
        "bad-start",
        [
            channel_mean(target="plain"),
            node("Shape", ["images"], ["batch"], end=1),
            node("Gather", ["zero", "batch"], ["nothing"]),
            node("Add", ["plain", "nothing"], ["mean"]),
        ],
        images,
        out,
        [constant("zero", [0], np.float32)],
    )


def slow():
    """Counts to a number, in a loop that nothing can shorten."""
    count = info("count", FLOAT, [])
    number = info("number", TensorProto.INT64, [])
    going = info("going", TensorProto.BOOL, [])
    body = helper.make_graph(
        [node("Add", ["count_in", "one"], ["count"]), node("Identity", ["going_in"], ["going"])],
        "body",
        [number, info("going_in", TensorProto.BOOL, []), info("count_in", FLOAT, [])],
        [going, count],
        [constant("one", 1, np.float32)],
    )
    for name, by_brightness, always in [("slow", SLOW_ROUNDS, 0), ("slow-start", 0, SLOW_ROUNDS)]:
        save(
            name,
            [
                channel_mean(target="plain"),
                node("ReduceMax", ["images"], ["brightest"], keepdims=0),
                node("Mul", ["brightest", "by_brightness"], ["more"]),
                node("Add", ["more", "always"], ["rounds"]),
                node("Cast", ["rounds"], ["trips"], to=TensorProto.INT64),
                node("Loop", ["trips", "", "zero"], ["counted"], body=body),
                # The sum keeps the loop in the graph; what it counted adds nothing.
                node("Mul", ["counted", "zero"], ["nothing"]),
                node("Add", ["plain", "nothing"], ["mean"]),
            ],
            [info("images", FLOAT, IMAGE)],
            [info("mean", FLOAT, ["batch", 3])],
            [
                constant("by_brightness", by_brightness, np.float32),
                constant("always", always, np.float32),
                constant("zero", 0, np.float32),
            ],
        )


def cells():
    """An 8x8 grid of boxes of 8x8 pixels: centre x, centre y, width and height."""
    side, cell = 8, 8
    row, column = np.divmod(np.arange(side * side), side)
    size = np.full(side * side, cell)
    return np.stack([column * cell + cell / 2, row * cell + cell / 2, size, size])


def cell_scores():
    """The nodes that make `scores` [N,3,64], the means of the channels in each cell, and `batch`."""
    return [
        node("AveragePool", ["images"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        node("Reshape", ["cells", "score_shape"], ["scores"]),
        node("Shape", ["images"], ["batch"], end=1),
    ], [constant("score_shape", [0, 3, 64], np.int64)]


def in_every_frame(source, target, values):
    """The nodes and the constants that make `target` out of `values` in a byte each, once for each frame."""
    shape = f"{target}_shape"
    return [
        node("Concat", ["batch", f"{shape}_of_frame"], [shape], axis=0),
        node("Cast", [source], [f"{target}_floats"], to=FLOAT),
        node("Expand", [f"{target}_floats", shape], [target]),
    ], [constant(source, values, np.int8), constant(f"{shape}_of_frame", values.shape, np.int64)]


def ultralytics(task):
    return {
        "description": "A test model in the form of an Ultralytics export",
        "stride": "8",
        "task": task,
        "batch": "1",
        "imgsz": "[64, 64]",
        "names": "{0: 'red', 1: 'green', 2: 'blue'}",
    }


def echo_yolo():
    scores, score_constants = cell_scores()
    boxes, box_constants = in_every_frame("cell_boxes", "boxes", cells())
    save(
        "echo-yolo",
        [*scores, *boxes, node("Concat", ["boxes", "scores"], ["output0"], axis=1)],
        [info("images", FLOAT, IMAGE)],
        [info("output0", FLOAT, ["batch", 4 + 3, 64])],
        [*score_constants, *box_constants],
        ultralytics("detect"),
    )
    # As a tracing exporter leaves it: through the batch of open size nothing is known of the other dimensions either.
    save(
        "echo-yolo-open",
        [
            *scores,
            *boxes,
            node("Concat", ["boxes", "scores"], ["known"], axis=1),
            node("Shape", ["known"], ["shape"]),
            node("Abs", ["shape"], ["hidden"]),
            node("Reshape", ["known", "hidden"], ["output0"]),
        ],
        [info("images", FLOAT, IMAGE)],
        [info("output0", FLOAT, ["batch", "channels", "anchors"])],
        [*score_constants, *box_constants],
        ultralytics("detect"),
    )
    weights, weight_constants = in_every_frame("cell_weights", "weights", np.stack([np.ones(64), np.zeros(64)]))
    halves = np.where(np.arange(16) < 8, 1, -1)
    protos, proto_constants = in_every_frame("halves", "output1", np.broadcast_to(halves, (2, 16, 16)))
    save(
        "echo-yolo-seg",
        [*scores, *boxes, *weights, *protos, node("Concat", ["boxes", "scores", "weights"], ["output0"], axis=1)],
        [info("images", FLOAT, IMAGE)],
        # As Ultralytics exports it with dynamic=True.
        [info("output0", FLOAT, ["batch", 4 + 3 + 2, "anchors"]), info("output1", FLOAT, ["batch", 2, "height", "width"])],
        [*score_constants, *box_constants, *weight_constants, *proto_constants],
        ultralytics("segment"),
    )


def echo_ssd():
    x, y, w, h = cells()
    corners = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=1)
    scores, score_constants = cell_scores()
    boxes, box_constants = in_every_frame("corners", "pixels", corners)
    counts, count_constants = in_every_frame("all", "count", np.array([64]))
    save(
        "echo-ssd",
        [
            *scores,
            *boxes,
            *counts,
            node("Div", ["pixels", "side"], ["boxes"]),
            node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=0),
            node("ArgMax", ["scores"], ["classes"], axis=1, keepdims=0),
        ],
        [info("images", FLOAT, IMAGE)],
        [
            info("boxes", FLOAT, ["batch", 64, 4]),
            info("best", FLOAT, ["batch", 64]),
            info("classes", TensorProto.INT64, ["batch", 64]),
            info("count", FLOAT, ["batch", 1]),
        ],
        [*score_constants, *box_constants, *count_constants, constant("side", 64, np.float32)],
    )


if __name__ == "__main__":
    MODELS.mkdir(parents=True, exist_ok=True)
    for make in [means, external, types, unusable, failing, slow, echo_yolo, echo_ssd]:
        make()
