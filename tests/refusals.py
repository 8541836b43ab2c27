"""Asks the runtime for what it must refuse, and prints why it did. `tests/python.rs` runs it."""

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
health = Gst.ElementFactory.make("nvhealth")
health.set_state(Gst.State.READY)
runtime = health.get_property("runtime")


def feed(**fields):
    structure = Gst.Structure.new_empty("feed")
    for name, value in fields.items():
        structure.set_value(name.replace("_", "-"), value)
    return structure


def refused(what, action, argument):
    assert not runtime.emit(action, argument), what
    error = runtime.get_property("last-error")
    print(f"{what}: {error.get_string('code')}: {error.get_string('message')}")


refused("no structure", "add-feed", None)
refused("an unknown field", "add-feed", feed(uri="file:///dev/null", colour="red"))
refused("a wrong type", "add-feed", feed(uri="file:///dev/null", interval="often"))
refused("a fragment", "add-feed", feed(pipeline="videotestsrc"))
refused("plain RTSP", "add-feed", feed(uri="rtsp://127.0.0.1/", rtsp_security="require-tls"))
refused("an unknown feed", "remove-feed", 4711)
for limit in "max-feeds", "health-capacity", "output-capacity":
    before = runtime.get_property(limit)
    runtime.set_property(limit, 0)
    error = runtime.get_property("last-error")
    print(f"no {limit}: {error.get_string('code')}: {error.get_string('message')}")
    assert runtime.get_property(limit) == before
runtime.set_property("custom-pipeline-policy", "allow-trusted")
runtime.set_property("max-feeds", 1)
watched = runtime.emit("add-feed", feed(pipeline="videotestsrc"))
assert watched
assert runtime.emit("pause-feed", watched)
refused("pause twice", "pause-feed", watched)
assert runtime.emit("resume-feed", watched)
refused("resume twice", "resume-feed", watched)
refused("one too many", "add-feed", feed(pipeline="videotestsrc"))
assert runtime.emit("shutdown")
refused("after the shutdown", "add-feed", feed(pipeline="videotestsrc"))
health.set_state(Gst.State.NULL)
