"""A real RTSP server, GStreamer's, for the system's Python: prints its port, and serves JPEGs as H.264 at /cam.

Usage: rtsp_server.py 'FOLDER/%06d.jpg' LAST tcp|udp USER:PASSWORD [ADDRESS PORT PATH RATE]
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - after the versions

pictures, last, transport, login, *place = sys.argv[1:]
address, port, path, rate = place or ("127.0.0.1", "0", "/cam", "15")
Gst.init(None)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f'( multifilesrc location="{pictures}" start-index=0 stop-index={last} loop=true '
    f'caps="image/jpeg,framerate={rate}/1" '
    "! jpegdec ! videoconvert ! video/x-raw,format=I420 ! clocksync ! x264enc tune=zerolatency bitrate=3000 "
    "key-int-max=1 speed-preset=ultrafast threads=1 ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
factory.set_shared(True)
factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP if transport == "tcp" else GstRtsp.RTSPLowerTrans.UDP)
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "user")
auth = GstRtspServer.RTSPAuth()
auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":", 1)), token)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("user", "media.factory.access", True)  # noqa: FBT003
permissions.add_permission_for_role("user", "media.factory.construct", True)  # noqa: FBT003
factory.set_permissions(permissions)
server = GstRtspServer.RTSPServer()
server.set_auth(auth)
server.set_address(address)
server.set_service(port)
server.get_mount_points().add_factory(path, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
