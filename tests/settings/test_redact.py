"""What is shown of a source: never a secret, and enough to tell which camera is meant."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_config.errors import SourceUnavailable
from runtime.camera.address import redact, scrub, without

PLACES = [
    "rtsp://{raw}@10.0.0.4/stream",
    "rtsp://admin:{raw}@10.0.0.4:554/stream",
    "RTSP://admin:{raw}@hall-cam/stream",
    "rtsp://{encoded}:x@10.0.0.4/stream",
    "rtsp://10.0.0.4/cam?user=admin&password={encoded}&channel=1",
    "http://10.0.0.4/snap?channel=1&PWD={encoded}",
    "http://10.0.0.4/snap?token={encoded}#resolution=640x480",
    "http://10.0.0.4/snap?fps=5&unheard_of={encoded}",
    "http://10.0.0.4/snap?{encoded}",
    "http://10.0.0.4/snap?p%61ss%77ord={encoded}",
    "http://10.0.0.4/snap?channel%3D1%26pwd%3D{encoded}",
    "http://10.0.0.4/snap?channel={encoded}%26",
    "http://10.0.0.4/snap#auth={encoded}",
    "http://10.0.0.4/snap#{encoded}",
    "http://10.0.0.4/snap;sig={encoded};fps=1?width=640",
    "rtsp://10.0.0.4:554/user=admin_password={encoded}_channel=1_stream=0.sdp?real_stream",
    "rtsp://10.0.0.4:554/user={encoded}&password=x&channel=1&stream=0.sdp?",
    "rtsp://10.0.0.4/user%3Dadmin%26pwd%3D{encoded}/live",
    "http://10.0.0.4/login/admin/{encoded}/live",
    "http://10.0.0.4/admin:{encoded}/live",
    "http://proxy.example:3128/rtsp://admin:{encoded}@10.0.0.4/live",
    "http://10.0.0.4/proxy?url=rtsp://admin:{encoded}@10.0.0.5/live",
    "http://10.0.0.4/proxy?url=rtsp%3A%2F%2Fadmin%3A{encoded}%4010.0.0.5%2Flive",
    'gst:rtspsrc location="rtsp://10.0.0.4/x" user-id=admin user-pw="{quoted}" ! decodebin',
    "gst:rtspsrc location=rtsp://admin:{encoded}@10.0.0.4/x latency=0 ! decodebin",
    "gst:rtspsrc location=rtsp://10.0.0.4/x?password={encoded} ! decodebin",
    "gst:rtspsrc location=rtsp://10.0.0.4/user=admin_password={encoded}_channel=1 ! decodebin",
    "gst:souphttpsrc location=http://10.0.0.4/x proxy=http://u:{encoded}@proxy:3128 ! jpegdec",
    "gst:souphttpsrc location=http://10.0.0.4/x proxy-pw={encoded} ! jpegdec",
    "gst:srtsrc uri=srt://10.0.0.4:8888 passphrase={encoded} ! decodebin",
    'gst:souphttpsrc location=http://10.0.0.4/x extra-headers="x,Authorization=(string){encoded}" ! jpegdec',
]
"""A secret raw, percent-encoded or in quotes, in every place where a camera, a proxy or GStreamer takes one."""

HOSTILE_S = 2.0
"""Of processor time, as for all readers of foreign bytes; it takes a quarter of that at most."""

SHOWN = {
    "rtsp://10.0.0.4/cam/realmonitor?channel=1&subtype=0",
    "rtsp://10.0.0.4:554/Streaming/Channels/101",
    "rtsp://10.0.0.4/h264Preview_01_main",
    "http://hall-cam/axis-cgi/mjpg/video.cgi?resolution=640x480&fps=5",
    "rtsp://10.0.0.4/axis-media/media.amp?videocodec=h264",
    "http://[fe80::1%eth0]:8080/mjpg/video.mjpg",
    "gst:v4l2src device=/dev/video0 ! image/jpeg,width=1280,framerate=30/1 ! jpegdec",
    "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_1A2B3C4D-video-index0",
    "clips/me/a.mp4",
}
"""Names without secrets."""

secrets = st.text(alphabet="abcdefghijkmnopqrtuvwxyzABCDEFGHIJKLMNPQRSTUVWXYZ23456789!$%@/ #?&=+_-'<ü", min_size=7)
"""Of at least seven characters: shorter ones are part of ordinary words."""


@example(secret="Zq7/222222Kj", place="rtsp://10.0.0.4/user%3Dadmin%26pwd%3D{encoded}/live")  # noqa: S106
@given(secret=secrets.map("Zq7{}Kj".format), place=st.sampled_from(PLACES))
def test_secret_is_nowhere_shown(secret: str, place: str) -> None:
    """A secret in any place of a source is shown neither by its name nor by a text about it, encoded or not."""
    quoted = secret.replace("\\", "").replace('"', "")
    source = place.format(raw=secret, encoded=quote(secret, safe=""), quoted=quoted)
    said = [redact(source), without(source, f"{source}: cannot open <{source}>, 401"), redact(redact(source))]
    said.append(str(SourceUnavailable("does not open", where=redact(source))))
    for text in said:
        assert "Zq7" not in text
        assert secret[3:-2] not in text
        assert quote(secret, safe="") not in text


@given(secret=secrets.map(lambda text: quote(f"Zq7{text}Kj", safe="")), place=st.sampled_from(PLACES))
def test_secret_is_not_shown_by_texts_of_others(secret: str, place: str) -> None:
    """Nor does a text show it that quotes the URL and was made by code that ignores it, such as a traceback."""
    source = place.format(raw=secret, encoded=secret, quoted=secret)
    said = scrub(f"Traceback:\n  open('{source}')\nOSError: no such thing: {source}; error 5\n")
    assert "Zq7" not in said


@pytest.mark.parametrize("source", sorted(SHOWN))
def test_name_without_a_secret_is_shown_as_it_is(source: str) -> None:
    """The usual URLs of cameras say which camera and which stream is meant."""
    assert redact(source) == source
    assert scrub(f"{source}: does not open; check it") == f"{source}: does not open; check it"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://admin:p@ss/w@10.0.0.4/stream", "rtsp://***@10.0.0.4/stream"),
        ("https://10.0.0.4/x.jpg?user=me&password=p@ss&fps=5", "https://10.0.0.4/x.jpg?user=***&password=***&fps=5"),
        ("rtsp://admin:12?34@host/x", "rtsp://***"),
        ("rtsp://admin:secret", "rtsp://***"),
        ("tcp://*:5556", "tcp://*:5556"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("tcp://ADDRESS:PORT", "tcp://ADDRESS:PORT"),
        ("rtsps://10.0.0.4:7441/Ktq5YRnOlQSoJ1xA?enableSrtp", "rtsps://10.0.0.4:7441/***?enableSrtp"),
        ("rtsp://10.0.0.4/user=a_password=b_c_channel=1", "rtsp://10.0.0.4/user=***_password=***_channel=1"),
        ("http://h/x?p%61ssword=a&foo=b&channel=2", "http://h/x?password=***&***&channel=2"),
    ],
)
def test_what_is_left_of_a_name(source: str, shown: str) -> None:
    """Host and harmless parameters are left; what is ambiguous, or looks like a token, is hidden."""
    assert redact(source) == shown
    assert redact(shown) == scrub(shown) == shown


@pytest.mark.parametrize(
    "text",
    ["key `cameras.top.fps` is missing", "press-3: 3 of 4 (a=1, b=2)", "14:03:12 a: b", "write tcp://ADDRESS:PORT; go"],
)
def test_ordinary_text_stays(text: str) -> None:
    """A text that is about no URL is not touched."""
    assert scrub(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a", "a://", "a:// ", "a://! ", "x@", ")", "password=", 'password="', "_", "a=", "%25", "authorization:", "-1a"],
)
def test_hostile_text_costs_little(piece: str) -> None:
    """What a stranger may have an error quote, 64 KiB of it, takes time in proportion and no recursion."""
    for text in (f"{piece * (65536 // len(piece))} x://y)z", f"rtsp://10.0.0.4/{piece * (65536 // len(piece))} x"):
        for hide in (redact, scrub):
            began_s = time.process_time()
            hide(text)
            assert time.process_time() - began_s < HOSTILE_S


@pytest.mark.parametrize("name", ["a\x1b[31m.png", "a\x07.png", "a\x9b2J.png", "a\x7f.png", "a\u202egnp.exe"])
def test_an_error_does_not_command_a_terminal(name: str) -> None:
    """Control characters in the name of a file, which a stranger may have chosen, are shown and not sent."""
    said = str(SourceUnavailable(f"no file {name}", where=f"folder/{name}", remedy="remove it"))
    assert said.isprintable()
    assert ".png" in said or ".exe" in said
    plain = SourceUnavailable("größer als 4 µm: привет", where="ordner ü\n☃")
    assert str(plain) == "ordner ü ☃: größer als 4 µm: привет"
