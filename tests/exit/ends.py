"""Ends in the way that it is told, while feeds run and handlers in Python are called for each result."""

import os
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

kind, after = sys.argv[1], int(os.environ["NV_AFTER"])
CODE = 7
results = 0
enough = threading.Event()


def on_result(_feed, _result):
    global results
    results += 1
    if results == after:
        if kind == "os._exit in a callback":
            os._exit(CODE)
        enough.set()
    if kind == "exception in a callback":
        raise ValueError("told to")


def on_output(_runtime, _result):
    pass


Gst.init(None)
source = "videotestsrc pattern=black ! video/x-raw,format=RGB,width=64,height=64"
pipeline = Gst.parse_launch(
    "nvbatch processor-id=net decoder=tensors instances=4 model=benches/models/mobilenetv3-small.onnx "
    f"{source} ! nvfeed name=a processor-id=net {source} ! nvfeed name=b processor-id=net "
    f"{source} ! nvbatch processor-id=net ! fakesink"
)
for name in ["a", "b"]:
    pipeline.get_by_name(name).connect("result", on_result)
runtime = pipeline.get_by_name("a").get_property("runtime")
runtime.connect("output", on_output)
runtime.connect("health", on_output)
pipeline.set_state(Gst.State.PLAYING)
if not enough.wait(60):
    sys.exit("no results")

if kind in ("sys.exit", "exception in a callback"):
    sys.exit(CODE)
if kind == "os._exit":
    os._exit(CODE)
if kind == "exception":
    raise ValueError("told to")
