"""What doctor says of devices that a test lays out as files, and of answers that a test gives."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_config.errors import BundleFileHash, SettingsError, SourceUnavailable
from edge_config.settings.device import Settings
from edge_config.settings.parse import parse
from edge_config.settings.sections import Camera, DegradeSettings, Provider
from runtime.camera.sources import v4l2
from runtime.doctor import cameras, clock, heat, inference, ports_and_folders, processor, search_speed, software, vision
from runtime.doctor.finding import Finding, exit_code, look
from runtime.process.child import CheckResult, ask
from tests.support.fakes.camera import BROKEN, COMMAND, PICTURE, plugged
from tests.support.tiny import write_pictures

GIB = 1 << 30
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

PI = (
    "processor\t: 0\nFeatures\t: fp asimd evtstrm aes asimdhp cpuid asimdrdm asimddp\nCPU part\t: 0xd0b\n\n"
    "processor\t: 1\nFeatures\t: fp asimd asimdhp asimddp\nCPU part\t: 0xd0b\n\nModel\t: Raspberry Pi 5 Model B\n"
)
ROCK = "processor: 0\nFeatures: fp asimd\nCPU part: 0xd05\n\nprocessor: 1\nFeatures: fp asimd\nCPU part: 0xd0b\n"
PC = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu sse4_2 avx fma avx2 avx512_vnni\n"


def lay(root: Path, files: dict[str, str]) -> Path:
    """Lay files below a root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def parsed(**changes: object) -> Settings:
    """Return settings."""
    return parse({"bundle": "b", "cameras": {"a": {"source": 0}}, "profile": "none", **changes})


# Processor, cores and memory


@pytest.mark.parametrize(
    ("machine", "info", "level", "words"),
    [
        ("aarch64", PI, "ok", ["Cortex-A76", "ASIMD", "half precision", "dot product"]),
        ("aarch64", ROCK, "warn", ["Cortex-A55 and Cortex-A76", "without dot product"]),
        ("x86_64", PC, "ok", ["Some CPU @ 3 GHz", "FMA, AVX2, VNNI"]),
        ("x86_64", PC.replace("avx2", ""), "warn", ["without AVX2"]),
        ("aarch64", PC, "warn", ["aarch64, emulated on Some CPU @ 3 GHz"]),
        ("aarch64", "", "warn", ["aarch64", "no known vector instructions"]),
        ("riscv64", "", "ok", ["riscv64"]),
    ],
)
def test_processor_and_its_features(tmp_path: Path, machine: str, info: str, level: str, words: list[str]) -> None:
    """A processor is named, also where the kernel knows its number only; what it lacks is a warning."""
    found = processor.processor(lay(tmp_path, {"proc/cpuinfo": info}), machine)
    assert found.level == level
    assert all(word in found.says for word in words), found.says


def test_cores_that_a_container_may_not_use_are_told(tmp_path: Path) -> None:
    """A quota of one core and a half on a device of four is a warning, which says how many threads to set."""
    root = lay(
        tmp_path,
        {
            **{f"sys/devices/system/cpu/cpu{number}/online": "1" for number in range(4)},
            "sys/devices/system/cpu/cpufreq/x": "",
            "proc/self/cgroup": "0::/app\n",
            "sys/fs/cgroup/app/cpu.max": "150000 100000\n",
        },
    )
    found = processor.cores(root, 4)
    assert (found.level, found.data["cores"], found.data["quota"]) == ("warn", 4, 1.5)
    assert "threads: 1" in found.remedy
    (root / "sys/fs/cgroup/app/cpu.max").write_text("max 100000\n")
    assert processor.cores(root, 4).level == "ok"
    assert "4, 2 of them" in processor.cores(root, 2).says


def test_memory_is_that_of_the_control_group(tmp_path: Path) -> None:
    """Of 8 GiB with 6 left, a container with 1 GiB that used 700 MiB has some 300 left, which is a warning."""
    root = lay(
        tmp_path,
        {
            "proc/meminfo": f"MemTotal: {8 << 20} kB\nMemAvailable: {6 << 20} kB\n",
            "proc/self/cgroup": "0::/app\n",
            "sys/fs/cgroup/app/memory.max": f"{GIB}\n",
            "sys/fs/cgroup/app/memory.current": f"{700 << 20}\n",
        },
    )
    found = processor.memory(root)
    assert found.level == "warn"
    assert found.says == "8192 MiB, limited to 1024, 324 available"
    (root / "sys/fs/cgroup/app/memory.max").write_text("max\n")
    assert processor.memory(root).level == "ok"


def test_profile_of_the_device_is_said(tmp_path: Path) -> None:
    """It is the one that `profile: auto` takes."""
    root = lay(tmp_path, {"proc/cpuinfo": PI})
    assert processor.profile(root, "aarch64").data == {"profile": "raspberry-pi-5"}
    assert processor.profile(root, "riscv64").level == "warn"


# Heat


def test_heat_that_makes_the_runtime_do_less_is_a_warning(tmp_path: Path) -> None:
    """The hottest zone counts, against the limit of the settings; a device without a sensor is no problem."""
    degrade = DegradeSettings(hot_c=80, cool_c=70)
    assert heat.temperature(tmp_path, degrade).level == "ok"
    zones = {"thermal_zone0/temp": "45000", "thermal_zone1/temp": "81500"}
    root = lay(tmp_path, {f"sys/class/thermal/{name}": text for name, text in zones.items()})
    found = heat.temperature(root, degrade)
    assert (found.level, found.data["celsius"]) == ("warn", 81.5)


@pytest.mark.parametrize(
    ("files", "level", "says"),
    [
        ({}, "ok", "none"),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "0\n"}, "ok", "none"),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"}, "warn", "now: under-voltage, throttled"),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "10000\n"}, "warn", "since boot: under-voltage"),
        (
            {
                "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0",
                "sys/class/thermal/cooling_device0/cur_state": "2",
            },
            "warn",
            "now: cpufreq-cpu0 slowed down",
        ),
        (
            {"sys/class/thermal/cooling_device0/type": "pwm-fan", "sys/class/thermal/cooling_device0/cur_state": "2"},
            "ok",
            "",
        ),
        ({"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "7"}, "warn", "throttled 7 times"),
    ],
)
def test_throttling_is_told_from_cooling(tmp_path: Path, files: dict[str, str], level: str, says: str) -> None:
    """What the firmware of a Pi, the kernel's cooling and the processor say; a fan that turns slows nothing down."""
    found = heat.throttling(lay(tmp_path, files))
    assert found.level == level
    assert says in found.says


@pytest.mark.parametrize(
    ("allowed", "governor", "level"),
    [("2400000", "ondemand", "ok"), ("1500000", "ondemand", "warn"), ("2400000", "powersave", "warn")],
)
def test_frequency_that_is_held_down_is_a_warning(tmp_path: Path, allowed: str, governor: str, level: str) -> None:
    """A limit below what the processor can, and a governor that stays at the lowest."""
    policy = "sys/devices/system/cpu/cpufreq/policy0"
    names = ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq", "scaling_governor")
    values = dict(zip(names, ("2400000", allowed, "1500000", governor), strict=True))
    found = heat.frequency(lay(tmp_path, {f"{policy}/{name}": text for name, text in values.items()}))
    assert found.level == level
    assert "1500 of 2400 MHz" in found.says


# The clock


def test_clock_that_nothing_keeps_right_is_a_warning(tmp_path: Path) -> None:
    """The kernel's word counts, or systemd's; where neither says anything, that is a warning too."""
    assert clock.clock(tmp_path, lambda: 0x2001).level == "ok"
    assert clock.clock(tmp_path, lambda: 0x40).level == "warn"
    assert clock.clock(tmp_path, lambda: None).level == "warn"
    lay(tmp_path, {"run/systemd/timesync/synchronized": ""})
    assert clock.clock(tmp_path, lambda: 0x40).level == "ok"


def test_kernel_is_asked_for_its_clock() -> None:
    """The status word is read from its place: no bit that the kernel does not know is set."""
    status = clock.kernel_status()
    assert status is None or 0 <= status < 1 << 16


# Software


def test_package_for_another_processor_is_told_from_one_that_is_missing() -> None:
    """SIGILL is named as what it is, with what to do; a package that is not there has its install line."""

    def run(code: str) -> CheckResult:
        if "hnswlib" in code:
            return CheckResult(problem="ended by SIGILL", illegal=True)
        return CheckResult(problem="No module named 'cv2'") if "cv2" in code else CheckResult()

    found = {finding.about: finding for finding in software.packages(run)}
    assert "(SIGILL)" in found["hnswlib"].says
    assert "HNSWLIB_NO_NATIVE=1" in found["hnswlib"].remedy
    assert found["opencv"].remedy == "pip install 'patchedge[cpu]'"
    assert {finding.level for finding in found.values()} == {"fail", "ok"}
    assert exit_code(found.values()) == 69


@pytest.mark.slow
def test_packages_of_this_machine_are_used() -> None:
    """Each of them really runs, in a process of its own."""
    (found,) = software.packages()
    assert found.level == "ok", found.says
    assert "hnswlib 0.8" in found.says


def test_process_that_dies_is_a_result() -> None:
    """A check that kills its process, prints nonsense, hangs or throws is a problem in a few words."""
    killed = ask("-c", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert killed == CheckResult(problem="ended by SIGILL", illegal=True)
    assert ask("-c", "print('hm')").problem == "its output is not JSON"
    assert ask("-c", "raise ValueError('so')").problem == "ValueError: so"
    assert ask("-c", "import threading; threading.Event().wait()", timeout_s=0.5).problem == "no answer within 0.5 s"
    assert ask("-c", "print('noise'); print('[1]')").value == [1]
    assert ask("-c", "import os; os.kill(os.getpid(), 40)").problem == "ended by signal 40"


def test_what_a_library_prints_last_is_no_answer() -> None:
    """C libraries print what they have kept when the process ends: the answer is the last line that is one."""
    late = "import ctypes; ctypes.CDLL(None).puts(b'provider: bye'); print('{\"a\": 1}')"
    assert ask("-c", late).value == {"a": 1}


@pytest.mark.parametrize(("distance_ns", "level"), [(14.0, "ok"), (150.0, "warn")])
def test_hnswlib_without_vector_instructions_is_found(distance_ns: float, level: str) -> None:
    """A distance that takes many times as long as our own was compiled badly."""
    figures = {"graph_ms": 5.0, "product_ms": 2.0, "distance_ns": distance_ns, "ours_ns": 19.0}
    found = search_speed.speed(lambda: CheckResult(figures))
    assert (found.level, found.data["scalar"]) == (level, level == "warn")


def test_hnswlib_of_this_machine_is_measured() -> None:
    """The figures are there, and positive."""
    found = search_speed.speed()
    assert found.level in {"ok", "warn"}
    assert all(found.data[name] > 0 for name in ("graph_ms", "product_ms", "distance_ns", "ours_ns"))


@pytest.mark.parametrize(
    ("has", "sources", "level", "remedy"),
    [
        ({"V4L2": True, "FFMPEG": True, "GSTREAMER": False}, [0, "rtsp://x"], "ok", ""),
        ({"V4L2": True, "FFMPEG": True, "GSTREAMER": False}, ["gst:x"], "fail", "system's OpenCV"),
        ({"V4L2": False, "FFMPEG": True, "GSTREAMER": True}, [0], "fail", "opencv-python-headless"),
        ({"V4L2": False, "FFMPEG": True, "GSTREAMER": True}, [], "warn", "opencv-python-headless"),
        ({"V4L2": True, "FFMPEG": False, "GSTREAMER": True}, ["rtsp://x"], "fail", "opencv-python-headless"),
    ],
)
def test_back_end_that_a_camera_needs_must_be_there(
    has: dict[str, bool], sources: list[int | str], level: str, remedy: str
) -> None:
    """An OpenCV with no camera in it is said before a camera is blamed."""
    found = vision.backends(sources, lambda: CheckResult({"version": "4.10", "backends": has}))
    assert found.level == level
    assert remedy in found.remedy


# Providers


def test_provider_that_the_profile_wants_and_that_is_missing_is_a_warning() -> None:
    """The CPU serves without it, slower: said with the package to install."""
    wanted = (Provider(name=CUDA), Provider(name=CPU))
    assert inference.present(wanted, [CPU], "1.32").level == "warn"
    assert inference.present(wanted, [CUDA, CPU], "1.32").level == "ok"


STARTS = {"scores": 1e-6, "tolerance": {"scores": 1e-3, "distances_mean": 1e-3}, "frame_ms": 30.0, "good": True}

BY_OPENVINO = CheckResult({**STARTS, "provider": "OpenVINOExecutionProvider"})
"""A bundle in bf16 has one provider, whatever is wanted; and is refused in the same words for each."""
NO_BF16 = CheckResult({"refused": {"what": "bf16 needs OpenVINO", "where": "b", "remedy": "r", "exit_code": 69}})


@pytest.mark.parametrize(
    ("answers", "levels", "code"),
    [
        ({CUDA: CheckResult(STARTS), CPU: CheckResult(STARTS)}, ["ok", "ok"], 0),
        ({CUDA: CheckResult(problem="ended by SIGSEGV"), CPU: CheckResult(STARTS)}, ["ok", "warn"], 0),
        ({CUDA: CheckResult({**STARTS, "good": False}), CPU: CheckResult(STARTS)}, ["warn", "ok"], 0),
        ({CUDA: CheckResult(problem="x"), CPU: CheckResult({**STARTS, "good": False})}, ["fail", "warn"], 65),
        ({CUDA: CheckResult(problem="x"), CPU: CheckResult(problem="y")}, ["fail", "fail"], 69),
        ({CUDA: CheckResult({**STARTS, "frame_ms": 60.0}), CPU: CheckResult(STARTS)}, ["warn", "ok"], 0),
        ({CUDA: BY_OPENVINO, CPU: BY_OPENVINO}, ["ok"], 0),
        ({CUDA: NO_BF16, CPU: NO_BF16}, ["fail"], 69),
        ({CPU: CheckResult({"refused": {"what": "w", "where": "x", "remedy": "r", "exit_code": 65}})}, ["fail"], 65),
        ({}, ["fail"], 69),
    ],
)
def test_providers_are_tried_with_the_bundle(answers: dict[str, CheckResult], levels: list[str], code: int) -> None:
    """One that works is enough; those before it that do not are warnings, and so is a frame above the budget."""
    found = list(
        inference.with_bundle(
            "b", parsed(providers=[CUDA, CPU], budget_ms=50), list(answers), lambda _, one: answers[one.name]
        )
    )
    assert [finding.level for finding in found] == levels
    assert exit_code(found) == code


@pytest.mark.slow
def test_bundle_is_really_loaded(tiny_bundle: Path) -> None:
    """On this machine a whole bundle starts, and a broken path is the bundle's fault."""
    (found,) = inference.with_bundle(str(tiny_bundle), parsed(), [CPU])
    assert found.level == "ok", found.says
    assert found.data["frame_ms"] > 0
    (missing,) = inference.with_bundle(str(tiny_bundle / "none"), parsed(), [CPU])
    assert (missing.level, missing.exit_code) == ("fail", 65)
    assert "no bundle here" in missing.says


# Cameras


def test_cameras_are_named_by_what_stays(tmp_path: Path) -> None:
    """A camera is shown with its model and its stable name; nodes that give no pictures are left out."""
    root = lay(
        tmp_path,
        {
            "dev/video0": "",
            "dev/video1": "",
            "dev/video10": "",
            "sys/class/video4linux/video0/name": "HD Webcam\n",
            "sys/class/video4linux/video0/index": "0\n",
            "sys/class/video4linux/video1/index": "1\n",
        },
    )
    (root / "dev/v4l/by-id").mkdir(parents=True)
    (root / "dev/v4l/by-id/usb-HD_Webcam-video-index0").symlink_to("../../video0")
    first, second = cameras.cameras(root, lambda node: node.name == "video0")
    assert first.says == "/dev/video0: HD Webcam, /dev/v4l/by-id/usb-HD_Webcam-video-index0"
    assert (first.level, second.level) == ("ok", "fail")
    assert "usermod -aG" in second.remedy
    (nothing,) = cameras.cameras(tmp_path / "none")
    assert nothing.level == "ok"


@pytest.mark.slow
def test_cameras_of_the_settings_must_be_there(tmp_path: Path) -> None:
    """A device or a file that is missing fails, and so does one that does not open, with the reason and no password."""
    (tmp_path / "clip.avi").touch()
    pictures = write_pictures(tmp_path / "pictures", set(), 3)
    with socket.create_server(("127.0.0.1", 0)) as free:
        refused = f"rtsp://me:secret@127.0.0.1:{free.getsockname()[1]}/x"
    sources = ["0", refused, tmp_path / "clip.avi", tmp_path / "no.avi", pictures]
    there = {f"{number}": Camera(source=str(source)) for number, source in enumerate(sources)}
    found = list(cameras.wanted(there, devices=lambda _: []))
    assert [finding.level for finding in found] == ["fail", "fail", "fail", "fail", "ok"]
    assert "nothing listens at port" in found[1].says
    assert "not a video" in found[2].says
    assert f"{pictures} opens: 64 x 48 pixels" in found[4].says
    assert "secret" not in str(found)


def test_camera_that_opens_is_described(tmp_path: Path) -> None:
    """A camera that gives a picture is well; one whose first picture cannot be decoded is a warning."""
    with plugged(tmp_path / "one") as good, plugged(tmp_path / "other") as bad:
        good.do(PICTURE)
        bad.do(BROKEN)
        there = {"good": Camera(source=good.source), "bad": Camera(source=bad.source)}
        found = list(cameras.wanted(there, command=COMMAND))
    assert [finding.level for finding in found] == ["ok", "warn"]
    assert "opens: 64 x 48 pixels, first picture after" in found[0].says


def test_formats_of_a_camera_are_listed(tmp_path: Path) -> None:
    """A driver that knows MJPG in two sizes and YUYV in any, as the kernel's structures say it."""
    node = tmp_path / "video0"
    node.touch()
    codes, sizes = [b"MJPG", b"YUYV"], [(1280, 720), (640, 480)]

    def driver(_: int, request: int, answer: bytearray) -> None:
        number = struct.unpack_from("=I", answer)[0]
        if request == 0xC0405602:
            if number >= len(codes):
                raise OSError(errno.EINVAL, "no more")
            struct.pack_into("=4s", answer, 44, codes[number])
        elif request == 0xC02C564A and bytes(answer[4:8]) == b"MJPG" and number < len(sizes):
            struct.pack_into("=III", answer, 8, 1, *sizes[number])
        elif request == 0xC02C564A and bytes(answer[4:8]) == b"YUYV" and number == 0:
            struct.pack_into("=I6I", answer, 8, 3, 16, 1920, 16, 16, 1080, 8)
        else:
            raise OSError(errno.EINVAL, "no more")

    assert v4l2.formats(str(node), driver) == ["MJPG 1280x720, 640x480", "YUYV 16x16, 1920x1080"]
    assert v4l2.formats(str(node)) == []  # a file is no camera
    assert v4l2.formats(str(tmp_path / "none")) == []


# Places


def test_port_that_is_taken_is_a_warning() -> None:
    """Which setting it is of is said; what is free is listed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        events = {"bind": f"tcp://127.0.0.1:{port}"}
        free = {"control": {"bind": "tcp://127.0.0.1:*"}, "metrics": {"bind": "127.0.0.1:0"}}
        first, last = ports_and_folders.ports(parsed(events=events, **free))
    assert first.level == "warn"
    assert first.says.startswith(f"events.bind tcp://127.0.0.1:{port}: Address already in use")
    assert last.says == "free: tcp://127.0.0.1:*, 127.0.0.1:0"


def test_socket_in_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    """`run` cannot bind it, whatever else runs: the remedy is the folder."""
    (found,) = [
        one
        for one in ports_and_folders.ports(parsed(events={"bind": f"ipc://{tmp_path}/none/e"}))
        if one.level == "fail"
    ]
    assert found.exit_code == 69
    assert found.says == f"events.bind ipc://{tmp_path}/none/e: {tmp_path}/none does not exist, or cannot be written"
    assert found.remedy == "create it, let this user write there, or set another events.bind"


def test_folders_must_be_writable_and_roomy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the runtime makes itself is fine; a file in its way is not; too little room is a warning."""
    (tmp_path / "file").touch()
    assert ports_and_folders.journal(parsed(journal={"path": str(tmp_path / "new/deep/j.sqlite")})).level == "ok"
    assert ports_and_folders.journal(parsed(journal={"enabled": False})).says == "disabled"
    assert ports_and_folders.clips(parsed(clips={"folder": str(tmp_path / "file/clips")})).level == "fail"
    assert ports_and_folders.clips(parsed(clips={"folder": str(tmp_path), "most_mb": 1_048_576})).level == "warn"
    assert ports_and_folders.learning(parsed(learning={"folder": str(tmp_path / "file/learning")})).level == "fail"
    assert (
        ports_and_folders.learning(parsed(learning={"folder": str(tmp_path), "versions_mb": 1_048_576})).level == "warn"
    )
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert ports_and_folders.journal(parsed(journal={"path": str(tmp_path / "j.sqlite")})).level == "fail"


def test_keys_that_are_missing_are_wrong_settings(tmp_path: Path) -> None:
    """`run` would refuse them with 78, and so does doctor."""
    security = {"secret_key": str(tmp_path / "none"), "clients": str(tmp_path)}
    assert (found := ports_and_folders.keys(parsed(security=security))).level == "fail"
    assert found.exit_code == 78
    assert ports_and_folders.keys(parsed()).level == "ok"


# The page as a whole


def broken() -> Finding:
    raise ZeroDivisionError("a sensor")


@pytest.mark.parametrize(
    ("check", "level", "code"),
    [
        (broken, "warn", 0),
        (lambda: (_ for _ in ()).throw(BundleFileHash("x")), "fail", 65),
        (lambda: (_ for _ in ()).throw(SettingsError("x")), "fail", 78),
        (lambda: (_ for _ in ()).throw(SourceUnavailable("x")), "fail", 69),
    ],
)
def test_check_that_fails_itself_is_a_finding(check: Callable[[], Finding], level: str, code: int) -> None:
    """Whatever is broken in a device, the other checks are done."""
    found = look("thing", check)
    assert [finding.level for finding in found] == [level]
    assert exit_code(found) == code
    assert all(finding.remedy for finding in found)


def test_worst_finding_decides() -> None:
    """Wrong settings come before a bad bundle, and that before what is not there; warnings are no failure."""
    kinds = {code: Finding("x", "fail", "y", "z", code) for code in (69, 65, 78)}
    assert exit_code(kinds.values()) == 78
    assert exit_code([kinds[69], kinds[65]]) == 65
    assert exit_code([Finding("x", "warn", "y", "z", 78)]) == 0


@pytest.mark.slow
def test_nothing_of_the_sort_is_imported_by_the_side_that_asks() -> None:
    """A library that dies by SIGILL takes a child with it, and not doctor."""
    code = (
        "import sys, runtime.doctor.examine; "
        "print(sorted({'cv2', 'onnxruntime', 'hnswlib', 'runtime.search._kernels'} & set(sys.modules)))"
    )
    assert ask("-c", f"import sys; sys.path[:] = {sys.path!r}; {code}").value == []
