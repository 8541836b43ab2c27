"""Writes a trained network as ONNX, described in the way that Ultralytics' exporter does."""

from pathlib import Path

import onnx
import torch
from scene import LABELS

HERE = Path(__file__).resolve().parent
OPSET = 17


def export(net, name, side, task, description):
    path = HERE / f"{name}.onnx"
    picture = torch.zeros(1, 3, side, side)
    torch.onnx.export(
        net.eval(),
        picture,
        path,
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    # The exporter leaves more dimensions open than are: only the batch is.
    for dim, size in list(zip(model.graph.output[0].type.tensor_type.shape.dim, net(picture).shape))[1:]:
        dim.dim_value = size
    properties = {
        "description": description,
        "author": "nextvision",
        "license": "MPL-2.0",
        "task": task,
        "names": str(dict(enumerate(LABELS))),
        "imgsz": str([side, side]),
        "stride": "32",
        "batch": "1",
    }
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
