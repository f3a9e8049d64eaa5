"""Picture files and the pictures to learn from."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_config.errors import NoImages, UnreadableImage
from runtime.camera.image_files import is_picture, read_picture, walk
from runtime.learning.pictures.images import Pictures, evenly

LOSSY_LEVELS = 5  # JPEG and WebP at their best quality halve the resolution of colour: up to 4 levels on these slopes
VIDEO_LEVELS = 4  # MJPG at OpenCV's default quality, of one grey level per frame
LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
LOSSY = (".jpg", ".jpeg", ".webp")
BEST = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_WEBP_QUALITY, 100]


def smooth(height: int = 40, width: int = 56) -> np.ndarray:
    """Return a picture whose channels differ and change slowly, so that lossy formats keep it."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + x, 200 - 2 * y, 90 + x // 2 + y], axis=2).astype(np.uint8)


def write(path: Path, image: np.ndarray) -> Path:
    """Write a picture at the best quality and give its path."""
    assert cv2.imwrite(str(path), image, BEST if path.suffix in LOSSY else [])
    return path


@pytest.mark.parametrize("ending", LOSSLESS)
def test_colours_of_a_lossless_file_are_read_as_they_are(tmp_path: Path, ending: str):
    """A lossless file gives the very values, uint8 in BGR order."""
    found = read_picture(write(tmp_path / f"a{ending}", smooth()))
    assert found.dtype == np.uint8
    assert (found == smooth()).all()


@pytest.mark.parametrize("ending", LOSSY)
def test_colours_of_a_lossy_file_are_read_in_their_order(tmp_path: Path, ending: str):
    """A lossy file gives nearly the values, uint8 in BGR order."""
    found = read_picture(write(tmp_path / f"a{ending}", smooth()))
    assert found.dtype == np.uint8
    assert found.shape == (40, 56, 3)
    assert np.abs(found.astype(int) - smooth()).max() <= LOSSY_LEVELS


@pytest.mark.parametrize("ending", LOSSLESS)
def test_grey_becomes_three_equal_channels(tmp_path: Path, ending: str):
    """A grey file gives three channels with its values."""
    grey = smooth()[..., 0]
    assert (read_picture(write(tmp_path / f"a{ending}", grey)) == grey[..., None]).all()


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_become_8(tmp_path: Path, ending: str, channels: int):
    """A 16-bit file gives the 8-bit values it stands for: v * 257 becomes v, in grey, in colour and with alpha."""
    picture = smooth() if channels > 1 else smooth()[..., :1].repeat(3, axis=2)
    deep = picture.astype(np.uint16) * 257
    if channels == 1:
        deep = deep[..., 0]
    elif channels == 4:
        deep = np.dstack([deep, np.full(deep.shape[:2], 1000, dtype=np.uint16)])
    found = read_picture(write(tmp_path / f"a{ending}", deep))
    assert found.dtype == np.uint8
    assert (found == picture).all()


@pytest.mark.parametrize("ending", [".png", ".tiff"])
def test_of_16_bits_the_high_8_are_kept(tmp_path: Path, ending: str):
    """The low 8 bits of a 16-bit file, whatever they are, do not count: nothing is rounded up."""
    deep = np.array([[0x00FF, 0x0100, 0x01FF, 0x7F80, 0xFEFF, 0xFFFF]], dtype=np.uint16).repeat(4, axis=0)
    found = read_picture(write(tmp_path / f"a{ending}", deep))
    assert found[0, :, 0].tolist() == [0x00, 0x01, 0x01, 0x7F, 0xFE, 0xFF]


@pytest.mark.parametrize("ending", [".png", ".tiff", ".webp"])
def test_alpha_is_dropped(tmp_path: Path, ending: str):
    """Half-transparent pixels keep their colour: nothing is blended."""
    with_alpha = np.dstack([smooth(), np.full((40, 56), 128, dtype=np.uint8)])
    found = read_picture(write(tmp_path / f"a{ending}", with_alpha))
    assert found.shape == (40, 56, 3)
    assert np.abs(found.astype(int) - smooth()).max() <= (LOSSY_LEVELS if ending in LOSSY else 0)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_exif_rotation_is_applied(tmp_path: Path, ending: str):
    """A picture that was stored lying with an EXIF note is read standing."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    path = tmp_path / f"a{ending}"
    Image.fromarray(np.ascontiguousarray(smooth()[..., ::-1])).save(path, exif=exif, quality=100, subsampling=0)
    found = read_picture(path)
    assert found.shape == (56, 40, 3)
    assert np.abs(found.astype(int) - np.rot90(smooth(), -1)).max() <= LOSSY_LEVELS


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.97])
def test_a_truncated_file_is_unreadable(tmp_path: Path, ending: str, kept: float):
    """A file that ends too early is refused by name; half a picture is never given."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / f"cut{ending}", noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(UnreadableImage, match=f"cut{ending}: truncated"):
        read_picture(path)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_bytes_after_the_end_of_a_picture_do_no_harm(tmp_path: Path, ending: str):
    """A whole picture is read also if the camera wrote notes of its own behind it."""
    path = write(tmp_path / f"a{ending}", smooth())
    alone = read_picture(path)
    path.write_bytes(path.read_bytes() + b"camera notes " * 10)
    assert (read_picture(path) == alone).all()


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"this is a list of parts\n" * 20])
def test_a_file_that_is_no_picture_is_unreadable(tmp_path: Path, ending: str, content: bytes):
    """Empty files, zeros and text with the ending of a picture are refused by name."""
    path = tmp_path / f"no{ending}"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=f"no{ending}") as caught:
        read_picture(path)
    assert caught.value.where == str(path)


def test_a_file_that_is_absent_is_unreadable(tmp_path: Path):
    """A path without a file is refused with the system's reason."""
    with pytest.raises(UnreadableImage, match=r"gone\.png: cannot be read \(No such file"):
        read_picture(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jpg", True), ("A.JPG", True), ("a.b.Png", True), ("._a.jpg", False), (".jpg", False), ("a.txt", False)],
)
def test_pictures_are_known_by_their_names(name: str, expected: bool):  # noqa: FBT001 - a table of cases
    """The ending decides, in either case; files that begin with a dot are not pictures."""
    assert is_picture(Path(name)) is expected


def test_walk_has_a_fixed_order_and_looks_into_subfolders(tmp_path: Path):
    """The walk gives a folder's own pictures by name, then its subfolders by name, and nothing that is no picture."""
    for name in ("b/2.png", "b/10.png", "a/z.JPG", "a/deep/er/x.tiff", "y.webp", "m.bmp", "notes.txt", "._m.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in walk(tmp_path)]
    assert found == ["m.bmp", "y.webp", "a/z.JPG", "a/deep/er/x.tiff", "b/10.png", "b/2.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of ten pictures, each of one grey level: 0, 20, ... 180."""
    for number in range(10):
        write(tmp_path / f"{number}.png", np.full((8, 8, 3), 20 * number, dtype=np.uint8))
    return tmp_path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of 25 frames, each of one grey level: 0, 10, ... 240."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, fourcc, 10, (64, 48))
    for number in range(25):
        writer.write(np.full((48, 64, 3), 10 * number, dtype=np.uint8))
    writer.release()
    return path


def levels(pictures: Pictures) -> list[int]:
    """Return the grey levels of a walk."""
    return [round(float(image.mean())) for _, image in pictures]


def test_a_folder_gives_all_its_pictures_with_their_names(folder: Path):
    """Without a limit every picture of a folder is given, in order, under its path."""
    pictures = Pictures(folder)
    assert len(pictures) == 10
    assert [(name, int(image[0, 0, 0])) for name, image in pictures] == [
        (str(folder / f"{number}.png"), 20 * number) for number in range(10)
    ]


@pytest.mark.parametrize(("limit", "expected"), [(1, [0]), (2, [0, 180]), (4, [0, 60, 120, 180]), (99, None)])
def test_a_limit_spreads_the_pictures_evenly(folder: Path, limit: int, expected: list[int] | None):
    """With a limit the pictures are spread from the first to the last; a limit beyond their number takes all."""
    assert levels(Pictures(folder, limit=limit)) == (expected or list(range(0, 200, 20)))


@pytest.mark.parametrize(("total", "wanted"), [(1, 1), (1, 5), (7, 7), (1000, 300), (301, 300), (10**6, 17)])
def test_evenly_gives_as_many_as_wanted_with_equal_gaps(total: int, wanted: int):
    """So many different numbers in ascending order, ends included, no gap more than one wider than another."""
    found = evenly(total, wanted)
    assert len(found) == min(total, wanted)
    assert found == sorted(set(found))
    assert found[0] == 0
    assert found[-1] == total - 1 or wanted == 1
    assert np.ptp(np.diff(found)) <= 1 if len(found) > 2 else True


def test_a_single_picture_is_a_walk_of_one(folder: Path):
    """A path to one picture gives that picture, under its path."""
    ((name, image),) = Pictures(folder / "3.png")
    assert name == str(folder / "3.png")
    assert (image == 60).all()


def test_a_damaged_picture_stops_the_walk_and_says_what_to_do(folder: Path):
    """By default a damaged file ends the walk with an error that names it and the option."""
    (folder / "4.png").write_bytes(b"")
    with pytest.raises(UnreadableImage, match=r"4\.png: .*--skip-bad"):
        list(Pictures(folder))


def test_skip_bad_passes_over_damaged_pictures_and_lists_them(folder: Path):
    """With skip_bad the readable pictures come, the damaged ones are listed, and a second walk lists them only once."""
    for number in (0, 4, 9):
        (folder / f"{number}.png").write_bytes(b"GIF89a")
    pictures = Pictures(folder, skip_bad=True)
    for _walk in range(2):
        assert levels(pictures) == [20, 40, 60, 100, 120, 140, 160]
        assert pictures.skipped == [str(folder / f"{number}.png") for number in (0, 4, 9)]


def test_again_gives_the_pictures_at_their_places_in_the_walk(folder: Path):
    """Places count the pictures that were given, not those that were passed over; the answer is in ascending order."""
    (folder / "2.png").write_bytes(b"")
    pictures = Pictures(folder, skip_bad=True)
    walked = levels(pictures)
    assert [int(image[0, 0, 0]) for image in pictures.again([5, 0, 2])] == [walked[0], walked[2], walked[5]]


def test_a_video_gives_its_frames_with_their_numbers(video: Path):
    """Without a limit a short video gives every frame, named by the file and the number from 1."""
    pictures = Pictures(video)
    assert len(pictures) == 25
    walked = list(pictures)
    assert [name for name, _ in walked] == [f"{video}#{number}" for number in range(1, 26)]
    assert all(image.shape == (48, 64, 3) for _, image in walked)
    assert all(abs(image.mean() - 10 * number) <= VIDEO_LEVELS for number, (_, image) in enumerate(walked))


def test_a_video_is_sampled_evenly(video: Path):
    """With a limit the frames are spread from the first to the last, and `again` gives the very same ones."""
    pictures = Pictures(video, limit=5)
    walked = list(pictures)
    assert [name.rpartition("#")[2] for name, _ in walked] == ["1", "7", "13", "19", "25"]
    again = list(pictures.again([3, 1]))
    assert (again[0] == walked[1][1]).all()
    assert (again[1] == walked[3][1]).all()


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    """A folder that holds other files only is an error that names it."""
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NoImages, match="no pictures here") as caught:
        Pictures(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path):
    """A path with nothing at it is an error that names it."""
    with pytest.raises(NoImages, match=r"gone: no such file or folder"):
        Pictures(tmp_path / "gone")


@pytest.mark.parametrize(("name", "content"), [("a.txt", b"hello"), ("a.avi", b""), ("a.mp4", b"\0" * 2000)])
def test_a_file_that_is_neither_picture_nor_video_is_refused(tmp_path: Path, name: str, content: bytes):
    """A file that OpenCV cannot open as a video is an error that names it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NoImages, match=name):
        Pictures(tmp_path / name)


@pytest.mark.timeout(10)
def test_a_pipe_is_no_picture(tmp_path: Path):
    """A pipe with the name of a picture is refused at once, as nobody may ever write into it; others are read."""
    os.mkfifo(tmp_path / "a.png")
    write(tmp_path / "b.png", smooth())
    with pytest.raises(UnreadableImage, match=r"a\.png: a pipe, a socket or a device, not a file"):
        list(Pictures(tmp_path))
    passing = Pictures(tmp_path, skip_bad=True)
    assert [Path(name).name for name, _ in passing] == ["b.png"]
    assert passing.skipped == [str(tmp_path / "a.png")]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_nothing_to_learn_from(device: str):
    """A device in place of the pictures is an error that says how to take pictures of a camera."""
    with pytest.raises(NoImages, match=r"neither .* nor .*; take pictures of a camera with `patchedge record`"):
        Pictures(Path(device))
