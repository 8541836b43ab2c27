#!/usr/bin/env python3
"""Makes the models that the benchmarks run: real architectures with weights that mean nothing.

    pip install torch torchvision onnx
    python3 benches/models/make_models.py

Weights by the megabyte do not belong in a repository, so each tensor of weights is written as a few nodes that compute
it (a scaled sine of 0, 1, 2, ...). ONNX Runtime folds them into constants while it loads the model; from then on it is
like any other. The files stay below 150 kB and are kept in the repository, so nobody has to run this.

GStreamer's `onnxinference` wants to be told what the outputs are: in the model's metadata (1.26), and in a `.modelinfo`
beside it (1.28). The names given there mean nothing.
"""

import math
from pathlib import Path

import numpy as np
import onnx
import torch
import torchvision
from onnx import TensorProto, helper, numpy_helper

from yolov8n import YoloV8n

HERE = Path(__file__).resolve().parent
OPSET = 17
SMALL = 64  # tensors up to this many numbers are kept as they are


def computed(initializer, number):
    """Nodes that compute a tensor of the shape of `initializer`, of a size that keeps activations alive."""
    shape = list(initializer.dims)
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else 1e4
    scale = math.sqrt(2) * math.sqrt(2 / fan_in)
    name = initializer.name

    def constant(suffix, value):
        tensor = numpy_helper.from_array(np.asarray(value), f"{name}/{suffix}")
        return helper.make_node("Constant", [], [f"{name}/{suffix}"], value=tensor)

    return [
        constant("from", np.float32(number)),
        constant("to", np.float32(number + math.prod(shape))),
        constant("step", np.float32(1)),
        helper.make_node("Range", [f"{name}/{s}" for s in ("from", "to", "step")], [f"{name}/steps"]),
        constant("stride", np.float32(12.9898)),
        helper.make_node("Mul", [f"{name}/steps", f"{name}/stride"], [f"{name}/angles"]),
        helper.make_node("Sin", [f"{name}/angles"], [f"{name}/sines"]),
        constant("scale", np.float32(scale)),
        helper.make_node("Mul", [f"{name}/sines", f"{name}/scale"], [f"{name}/scaled"]),
        constant("shape", np.array(shape, np.int64)),
        helper.make_node("Reshape", [f"{name}/scaled", f"{name}/shape"], [name]),
    ]


def shrink(path, output_shape):
    model = onnx.load(path)
    graph = model.graph
    for dim, known in zip(graph.output[0].type.tensor_type.shape.dim[1:], output_shape):
        dim.dim_value = known
    large = [i for i in graph.initializer if i.data_type == TensorProto.FLOAT and math.prod(i.dims) > SMALL]
    nodes = [node for number, i in enumerate(large) for node in computed(i, number)]
    for initializer in large:
        graph.initializer.remove(initializer)
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.doc_string = ""
    for node in graph.node:
        node.doc_string = ""
    save(model, path)


def dims(tensor):
    return ",".join(str(d.dim_value or -1) for d in tensor.type.tensor_type.shape.dim)


def save(model, path):
    """The model, and what `onnxinference` wants to know of it."""
    graph = model.graph
    onnx.helper.set_model_props(model, {output.name: f"bench-{output.name}" for output in graph.output})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    lines = ["[modelinfo]", "version=1.0", f"group-id=bench-{graph.name}"]
    for tensor in graph.input:
        lines += ["", f"[{tensor.name}]", "dir=input", "type=float32", f"dims={dims(tensor)}", "ranges=0.0,1.0"]
    for tensor in graph.output:
        lines += ["", f"[{tensor.name}]", "dir=output", "type=float32", f"dims={dims(tensor)}", f"id=bench-{tensor.name}"]
    path.with_suffix(".onnx.modelinfo").write_text("\n".join(lines) + "\n")


def architecture(name, module, side, output):
    path = HERE / f"{name}.onnx"
    images = torch.zeros(1, 3, side, side)
    torch.onnx.export(
        module.eval(),
        images,
        path,
        input_names=["images"],
        output_names=[output],
        dynamic_axes={"images": {0: "batch"}, output: {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    shrink(path, module(images).shape[1:])


def mean():
    """As near to nothing as a model that sees every pixel can be."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    save(model, HERE / "mean.onnx")


def objects():
    """The same 20 objects in every picture, as a YOLO without overlap gives them: two corners, score, class."""
    column, row = np.arange(20) % 5, np.arange(20) // 5
    left, top = 4 + 44 * column, 4 + 55 * row
    found = np.stack([left, top, left + 32, top + 40, np.full(20, 0.9), column % 3], axis=1).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["images"], ["batch"], end=1),
            helper.make_node("Concat", ["batch", "shape"], ["shape_of_batch"], axis=0),
            helper.make_node("Expand", ["found", "shape_of_batch"], ["output0"]),
        ],
        "objects",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", 20, 6])],
        [numpy_helper.from_array(found, "found"), numpy_helper.from_array(np.array([20, 6]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'circle', 1: 'square', 2: 'triangle'}"})
    onnx.checker.check_model(model)
    onnx.save(model, HERE / "objects.onnx")


if __name__ == "__main__":
    architecture("mobilenetv3-small", torchvision.models.mobilenet_v3_small(), 224, "logits")
    architecture("resnet18", torchvision.models.resnet18(), 224, "logits")
    architecture("yolov8n", YoloV8n(), 640, "output0")
    mean()
    objects()
