#!/usr/bin/env python3
"""Adds, pauses, resumes and removes feeds while others run, and prints their health and their results.

    feeds.py [--model FILE] [URI ...]

Without a URI it takes two clips of tests/clips. It needs PyGObject and nothing else (Debian: python3-gi and
gir1.2-gstreamer-1.0); GST_PLUGIN_PATH names the plugin's folder where it is not installed.
"""

import argparse
import collections
import pathlib
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIPS = [(ROOT / "tests" / "clips" / f"{name}.mp4").as_uri() for name in ("gate", "yard")]
PROCESSOR = "shapes"
ENOUGH = 10


def say(*words):
    """One whole line, whichever thread says it."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Feeds:
    """The feeds of this program, and what was told of them."""

    def __init__(self, model):
        # It declares the model. There is no other element here: the pipelines are the runtime's.
        self.owner = Gst.ElementFactory.make("nvbatch")
        if self.owner is None:
            sys.exit("there is no element nvbatch: set GST_PLUGIN_PATH to the folder of the plugin")
        self.owner.set_property("processor-id", PROCESSOR)
        self.owner.set_property("model", model)
        if self.owner.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            sys.exit(f"cannot load {model}: GST_DEBUG=nvbatch:2 says why")

        self.results = collections.Counter()
        self.ended = set()
        self.changed = threading.Condition()
        self.runtime = self.owner.get_property("runtime")
        # Handlers are called from threads of the runtime. One that is slow loses the oldest events, and slows no feed.
        self.runtime.connect("health", self.on_health)
        self.runtime.connect("output", self.on_output)

    def on_health(self, _runtime, event):
        names = [event.nth_field_name(index) for index in range(event.n_fields())]
        say("health", *(f"{name}={event.get_value(name)}" for name in names))
        if event.get_string("event") == "feed-stopped":
            with self.changed:
                self.ended.add(event.get_value("feed-id"))
                self.changed.notify_all()

    def on_output(self, _runtime, result):
        feed, frame = result.get_value("feed-id"), result.get_value("frame")
        labels = []
        if result.has_field("objects"):
            _, objects = result.get_array("objects")
            labels = [objects.get_nth(index).get_string("label") for index in range(objects.n_values)]
        say("result", f"feed-id={feed} frame={frame}", *labels)
        with self.changed:
            self.results[feed] += 1
            self.changed.notify_all()

    def add(self, uri, **fields):
        """Starts a feed and returns its id. Any field of add-feed can be given, with _ for -."""
        feed = Gst.Structure.new_empty("feed")
        for name, value in {"uri": uri, "processor-id": PROCESSOR, **fields}.items():
            feed.set_value(name, value)
        added = self.runtime.emit("add-feed", feed)
        if not added:
            self.complain("add-feed")
        return added

    def act(self, action, feed):
        if self.runtime.emit(action, feed):
            say(action, f"feed-id={feed}")
        else:
            self.complain(action)

    def complain(self, action):
        error = self.runtime.get_property("last-error")
        say(f"{action} failed:", error.get_string("code"), error.get_string("message"))

    def wait_for_results(self, feeds):
        """Until each of them has some more, or has ended."""
        with self.changed:
            wanted = {feed: self.results[feed] + ENOUGH for feed in feeds}
            self.changed.wait_for(
                lambda: all(self.results[feed] >= wanted[feed] or feed in self.ended for feed in feeds)
            )

    def wait_for_end(self, feeds):
        with self.changed:
            self.changed.wait_for(lambda: self.ended.issuperset(feeds))

    def close(self):
        # Ends all feeds and processors, and the threads of the runtime.
        say("shutdown", "ended everything" if self.runtime.emit("shutdown") else "left something behind")
        self.owner.set_state(Gst.State.NULL)


def tour(feeds, uris):
    looping = [feed for feed in (feeds.add(uri, loop=True) for uri in uris) if feed]
    feeds.wait_for_results(looping)
    for feed in looping[:1]:
        feeds.act("pause-feed", feed)
        feeds.act("resume-feed", feed)
    feeds.wait_for_results(looping)
    for feed in looping:
        feeds.act("remove-feed", feed)
    feeds.act("remove-feed", 0)
    # Once more, to the end. A camera has none: Ctrl-C ends it.
    feeds.wait_for_end([feed for feed in (feeds.add(uri, interval=5) for uri in uris) if feed])


def main():
    parser = argparse.ArgumentParser(description="Adds, pauses, resumes and removes feeds at run time.")
    parser.add_argument("uris", nargs="*", default=CLIPS, metavar="URI")
    parser.add_argument("--model", default=str(ROOT / "models" / "shapes.onnx"))
    arguments = parser.parse_args()
    Gst.init(None)
    feeds = Feeds(arguments.model)
    try:
        tour(feeds, arguments.uris)
    except KeyboardInterrupt:
        pass
    finally:
        feeds.close()


if __name__ == "__main__":
    main()
