"""Cameras for the tests: an RTSP server of its own process, told what to do by lines of JSON.

    server.py [--tls FILE]      FILE: certificate and key, PEM

Says `{"port": n}` first. Each line that comes is a list of its streams from then on:
`{"path": {"codec": "h264", "width": 64, "height": 48, "auth": "digest", "user": "u", "password": "p"}}`
and is answered by a line that says `{"ready": true}`. Ends with its standard input.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

FRAMES = 30
ENCODERS = {
    # A key frame each half second, so that whoever connects sees something soon.
    "h264": [
        ("x264enc", "tune=zerolatency speed-preset=ultrafast key-int-max=15", "h264parse ! rtph264pay config-interval=1"),
        ("openh264enc", "gop-size=15", "h264parse ! rtph264pay config-interval=1"),
    ],
    "h265": [
        ("x265enc", "tune=zerolatency speed-preset=ultrafast key-int-max=15", "h265parse ! rtph265pay config-interval=1"),
    ],
}


def say(what):
    print(json.dumps(what), flush=True)


def encoder(codec):
    """The rest of a launch line; `None` where nothing here encodes so."""
    for name, settings, payloader in ENCODERS[codec]:
        if Gst.ElementFactory.find(name):
            return f"{name} {settings} ! {payloader} name=pay0 pt=96"
    return None


def factory(stream):
    made = GstRtspServer.RTSPMediaFactory()
    picture = f"video/x-raw,format=I420,width={stream['width']},height={stream['height']},framerate={FRAMES}/1"
    made.set_launch(f"( videotestsrc is-live=true pattern=ball ! {picture} ! {encoder(stream['codec'])} )")
    made.set_shared(True)
    if "user" in stream:
        made.add_role_from_structure(role("user", True))
        made.add_role_from_structure(role("anonymous", False))
    else:
        for name in ("user", "anonymous"):
            made.add_role_from_structure(role(name, True))
    return made


def role(name, allowed):
    permissions = Gst.Structure.new_empty(name)
    # Who may not even see it is told that it is not there.
    permissions.set_value(GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
    permissions.set_value(GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, allowed)
    return permissions


def token(name):
    made = GstRtspServer.RTSPToken()
    made.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, name)
    return made


class Cameras:
    def __init__(self, certificate):
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address("127.0.0.1")
        self.server.set_service("0")
        self.certificate = Gio.TlsCertificate.new_from_file(certificate) if certificate else None
        self.show({})
        self.server.attach(None)
        say({"port": self.server.get_bound_port(), "codecs": [name for name in ENCODERS if encoder(name)]})

    def show(self, streams):
        """Who watches is sent away; what they come back to is this."""
        auth = GstRtspServer.RTSPAuth()
        auth.set_default_token(token("anonymous"))
        if self.certificate:
            auth.set_tls_certificate(self.certificate)
        mounts = GstRtspServer.RTSPMountPoints()
        for path, stream in streams.items():
            mounts.add_factory(f"/{path}", factory(stream))
            if "user" in stream:
                self.let_in(auth, stream)
        self.server.set_auth(auth)
        self.server.set_mount_points(mounts)
        self.server.client_filter(lambda server, client: GstRtspServer.RTSPFilterResult.REMOVE)

    @staticmethod
    def let_in(auth, stream):
        if stream["auth"] == "basic":
            auth.set_supported_methods(1)
            made = GstRtspServer.RTSPAuth.make_basic(stream["user"], stream["password"])
            auth.add_basic(made, token("user"))
        else:
            auth.set_supported_methods(2)
            auth.add_digest(stream["user"], stream["password"], token("user"))


def main():
    Gst.init(None)
    cameras = Cameras(sys.argv[2] if sys.argv[1:2] == ["--tls"] else None)
    loop = GLib.MainLoop()

    def told(channel, condition):
        line = sys.stdin.readline()
        if not line:
            loop.quit()
            return False
        cameras.show(json.loads(line))
        say({"ready": True})
        return True

    # One line is one answer: nothing is left in Python's buffer.
    GLib.io_add_watch(GLib.IOChannel.unix_new(0), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, told)
    loop.run()


main()
