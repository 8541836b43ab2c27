#!/usr/bin/env python3
"""What ONNX Runtime's options are worth, for the choices that docs/tuning.md gives figures of.

    pip install onnxruntime numpy
    python3 benches/runtime_options.py [MODEL...]

Each variant differs from the base in one thing. All take turns, and each is held against the base run just before it:
the figure is the median of these ratios. Base: sessions with one thread each, one for each core, batch 4, as the plugin
sets them up (no spinning, arena, no memory pattern, all optimisations, no affinity).
"""

import itertools
import os
import resource
import sys
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))
ROUNDS, SECONDS = 7, 0.5
LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


class Variant:
    def __init__(self, name, model, sessions=CORES, threads=1, batch=4, level="all", arena=True, pattern=False,
                 pin=False, binding=False, extend=None, config=()):
        self.name, self.batch, self.pin, self.binding = name, batch, pin, binding
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = LEVELS[level]
        options.enable_cpu_mem_arena, options.enable_mem_pattern = arena, pattern
        for key, value in {"session.intra_op.allow_spinning": "0", **dict(config)}.items():
            options.add_session_config_entry(key, value)
        # More than one thread may run in Python while the library works: it lets go of the interpreter.
        self.sessions = [ort.InferenceSession(model, options, ["CPUExecutionProvider"]) for _ in range(sessions)]
        entry = self.sessions[0].get_inputs()[0]
        shape = [batch if i == 0 else side for i, side in enumerate(entry.shape)]
        self.name_in = entry.name
        self.inputs = [np.random.default_rng(i).random(shape, np.float32) for i in range(sessions)]
        self.bindings = [self.bind(i) for i in range(sessions)] if binding else None
        self.rate(0.1)

    def bind(self, index):
        session = self.sessions[index]
        binding = session.io_binding()
        binding.bind_cpu_input(self.name_in, self.inputs[index])
        for output in session.run(None, {self.name_in: self.inputs[index]}):
            self.output = ort.OrtValue.ortvalue_from_numpy(output)
            binding.bind_ortvalue_output(session.get_outputs()[0].name, self.output)
        return binding

    def work(self, index, until, counts):
        if self.pin:
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[index % CORES]})
        session, runs = self.sessions[index], 0
        while time.perf_counter() < until:
            if self.binding:
                session.run_with_iobinding(self.bindings[index])
            else:
                session.run(None, {self.name_in: self.inputs[index]})
            runs += 1
        counts[index] = runs

    def rate(self, seconds=SECONDS):
        """Frames a second, and CPU seconds for a thousand frames."""
        counts = [0] * len(self.sessions)
        begun, cpu = time.perf_counter(), cpu_seconds()
        until = begun + seconds
        threads = [threading.Thread(target=self.work, args=(i, until, counts)) for i in range(len(counts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        frames = sum(counts) * self.batch
        return frames / (time.perf_counter() - begun), (cpu_seconds() - cpu) * 1000 / max(frames, 1)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def compare(title, base, variants):
    ratios = {variant: [] for variant in variants}
    costs = {variant: [] for variant in (base, *variants)}
    rates = []
    for _, variant in itertools.product(range(ROUNDS), variants):
        reference, cost = base.rate()
        rate, own_cost = variant.rate()
        rates.append(reference)
        costs[base].append(cost)
        costs[variant].append(own_cost)
        ratios[variant].append(rate / reference)
    print(f"\n{title}")
    print(f"  {base.name:44} {median(rates):8.0f} frames/s {'':18} {median(costs[base]):6.2f} CPU s / 1,000")
    for variant, found in ratios.items():
        spread = f"({min(found):.2f} to {max(found):.2f})"
        print(f"  {variant.name:44} {median(found):8.2f} of it  {spread:18} {median(costs[variant]):6.2f}")


def main(models):
    print(f"ONNX Runtime {ort.__version__}, {CORES} cores, median of {ROUNDS} rounds of {SECONDS} s")
    for model in models:
        make = lambda name, **options: Variant(name, str(model), **options)
        base = make("base")
        compare(model.stem, base, [
            make("the same again (what noise is worth)"),
            make("spinning", config={"session.intra_op.allow_spinning": "1"}),
            make("no arena", arena=False),
            make("memory pattern", pattern=True),
            make("each session on a core of its own", pin=True),
            make("IoBinding, inputs and outputs kept", binding=True),
            make("denormals as zero", config={"session.set_denormal_as_zero": "1"}),
            make("optimisation: extended", level="extended"),
            make("optimisation: basic", level="basic"),
            make("optimisation: none", level="none"),
            make("no prepacking", config={"session.disable_prepacking": "1"}),
        ])
        one = make(f"1 session x {CORES} threads", sessions=1, threads=CORES, batch=4)
        compare(f"{model.stem}, one session", one, [
            make("spinning", sessions=1, threads=CORES, config={"session.intra_op.allow_spinning": "1"}),
        ])


if __name__ == "__main__":
    named = [Path(name) for name in sys.argv[1:]]
    main(named or [HERE / "models" / f"{name}.onnx" for name in ("mobilenetv3-small", "resnet18")])
