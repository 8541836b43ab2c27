#!/usr/bin/env python3
"""What people write themselves: PyGObject, one `appsink` a stream, one session of ONNX Runtime for all streams.

A worker of the benchmark (benches/report/job.rs): its job is in NV_BENCH_JOB, its figures go to standard output.
Mode `each` runs the model once a frame, on the stream's own thread, with one thread of the library. Mode `eight` has a
thread that collects up to eight frames of all streams and runs them together, with the library's own number of threads;
it takes what is there and waits for no more, so that it is never the slower for a lone stream.
"""

import itertools
import json
import os
import queue
import resource
import threading
import time

import gi
import numpy as np
import onnxruntime

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401: GstApp gives the sinks their methods

EIGHT = 8


class Results:
    """Counts results, and how long frames of live sources took from their time stamp to here."""

    def __init__(self):
        self.lock = threading.Lock()
        self.frames = 0
        self.millis = None

    def add(self, ages):
        with self.lock:
            self.frames += len(ages)
            if self.millis is not None:
                self.millis += ages


class Stream:
    """One pipeline, and the thread that takes its frames."""

    def __init__(self, job, handle):
        source, side = job["source"], job["side"]
        self.live, self.side, self.handle = source["live"] is not None, side, handle
        self.pipeline = Gst.parse_launch(
            f"videotestsrc pattern=black is-live={str(self.live).lower()} num-buffers={job['frames'] or -1} "
            f"! video/x-raw,format={source['format']},width={source['width']},height={source['height']},"
            f"framerate={source['live'] or 1000}/1 "
            f"! videoconvertscale ! video/x-raw,format=RGB,width={side},height={side} "
            f"! appsink name=sink sync=false max-buffers=2 drop={str(self.live).lower()}"
        )
        self.sink = self.pipeline.get_by_name("sink")
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        self.thread.start()

    def run(self):
        while (sample := self.sink.pull_sample()) is not None:
            buffer = sample.get_buffer()
            pixels = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
            picture = pixels.reshape(self.side, self.side, 3).transpose(2, 0, 1)
            self.handle(np.multiply(picture, np.float32(1 / 255), dtype=np.float32), lambda: self.age(buffer.pts))

    def age(self, pts):
        """Milliseconds since the time stamp of a frame."""
        clock = self.pipeline.get_clock()
        return (clock.get_time() - self.pipeline.get_base_time() - pts) / 1e6 if self.live and clock else None


def session(job, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])


def call_each(job, results):
    """What a stream does with a frame: the model, once."""
    shared = session(job, 1)
    name = shared.get_inputs()[0].name

    def handle(picture, age):
        shared.run(None, {name: picture[np.newaxis]})
        results.add([age()])

    return handle


def collect_eight(job, results):
    """What a stream does with a frame: it hands it to the thread that runs the model."""
    shared = session(job, 0)
    name = shared.get_inputs()[0].name
    waiting = queue.Queue(2 * EIGHT)

    def collect():
        while True:
            taken = [waiting.get()]
            try:
                while len(taken) < EIGHT:
                    taken.append(waiting.get_nowait())
            except queue.Empty:
                pass
            shared.run(None, {name: np.stack([picture for picture, _ in taken])})
            results.add([age() for _, age in taken])

    threading.Thread(target=collect, daemon=True).start()
    return lambda picture, age: waiting.put((picture, age))


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024 / 1e6


def measure(job, streams, results):
    begun, used, before = time.monotonic(), cpu_seconds(), 0
    for stream, start in itertools.zip_longest(streams, job["starts"], fillvalue=0):
        time.sleep(max(0, begun + start - time.monotonic()))
        stream.start()
    if job["frames"]:
        for stream in streams:
            stream.thread.join()
        # The collector may still have some; frames that it loses would show as a timeout here.
        deadline = time.monotonic() + 60
        while results.frames < job["frames"] * len(streams) and time.monotonic() < deadline:
            time.sleep(0.01)
    else:
        time.sleep(job["warm_up"])
        with results.lock:
            begun, used, before, results.millis = time.monotonic(), cpu_seconds(), results.frames, []
        time.sleep(job["window"])
    with results.lock:
        frames, millis, seconds = results.frames - before, results.millis or [], time.monotonic() - begun
    millis = sorted(age for age in millis if age is not None)
    latency = {"p50_ms": millis[len(millis) // 2], "p99_ms": millis[len(millis) * 99 // 100]} if millis else None
    return {
        "frames": frames,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - used,
        "peak_mb": peak_mb(),
        "latency": latency,
        "library": onnxruntime.__version__,
    }


def main():
    job = json.loads(os.environ["NV_BENCH_JOB"])
    Gst.init(None)
    results = Results()
    handle = {"each": call_each, "eight": collect_eight}[job["mode"]](job, results)
    streams = [Stream(job, handle) for _ in range(job["feeds"])]
    print(json.dumps(measure(job, streams, results)), flush=True)
    # Streams that run on are not worth waiting for.
    os._exit(0)


main()
