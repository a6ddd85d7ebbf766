"""gst-rtsp-server as a camera: an independent, real RTSP server, in a process of its own.

It is a system package, so the system's Python runs this file:

    apt-get install --no-install-recommends python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 \
        gstreamer1.0-plugins-{base,good,bad,ugly}

It sends a clip's coded pictures in a loop at /live: picture k at epoch + k / fps on CLOCK_MONOTONIC.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"
PARTS = {"h264": ("h264parse", "rtph264pay"), "hevc": ("h265parse", "rtph265pay")}


def main() -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="0")
    parser.add_argument("--clip", type=Path, help="a pickled list of coded pictures (Annex B)")
    parser.add_argument("--codec", choices=list(PARTS), default="h264")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--auth", choices=["digest", "basic"], default="digest")
    parser.add_argument("--epoch", type=float, default=time.monotonic())
    parser.add_argument("--check", action="store_true", help="only tell by the exit status whether all parts are there")
    args = parser.parse_args()

    Gst.init(None)
    if args.check:
        parts = ("appsrc", *PARTS["h264"], *PARTS["hevc"])
        sys.exit(0 if all(Gst.ElementFactory.find(part) for part in parts) else 1)
    units = pickle.loads(args.clip.read_bytes())
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    factory = GstRtspServer.RTSPMediaFactory()
    parse, pay = PARTS[args.codec]
    format_ = f"video/x-{parse.removesuffix('parse')},stream-format=byte-stream,alignment=au"
    source = f"appsrc name=pictures is-live=true format=time do-timestamp=true caps={format_}"
    factory.set_launch(f"( {source} ! {parse} ! {pay} name=pay0 pt=96 config-interval=-1 )")
    factory.set_shared(True)
    if args.user:
        server.set_auth(_auth(GstRtspServer, args))
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    feeds: list[Feed] = []
    factory.connect("media-configure", lambda _, media: feeds.append(Feed(GLib, Gst, media, units, args)))
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    print(json.dumps({"port": server.get_bound_port()}), flush=True)
    GLib.MainLoop().run()


def _auth(library: object, args: argparse.Namespace) -> object:
    auth = library.RTSPAuth()
    token = library.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if args.auth == "digest":
        from gi.repository import GstRtsp

        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(args.user, args.password, token)
    else:
        auth.add_basic(library.RTSPAuth.make_basic(args.user, args.password), token)
    return auth


class Feed:
    """Pushes the pictures when they are due, until the last client has left."""

    def __init__(self, glib: object, gst: object, media: object, units: list[bytes], args: argparse.Namespace) -> None:
        self.glib, self.gst, self.units, self.args = glib, gst, units, args
        self.source = media.get_element().get_by_name("pictures")
        self.frame = int((time.monotonic() - args.epoch) * args.fps) + 1
        self.later()

    def later(self) -> None:
        due = self.args.epoch + self.frame / self.args.fps
        self.glib.timeout_add(max(0, round((due - time.monotonic()) * 1000)), self.push)

    def push(self) -> bool:
        picture = self.gst.Buffer.new_wrapped(self.units[self.frame % len(self.units)])
        self.frame += 1
        if self.source.emit("push-buffer", picture) == self.gst.FlowReturn.OK:
            self.later()
        return False


if __name__ == "__main__":
    main()
