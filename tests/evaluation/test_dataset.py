"""What is evaluated: folders in MVTec layout and lists of frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.errors import NoImages, UnreadableImage, UsageError
from export.evaluation.dataset import Dataset, open_dataset, read_mask

HEIGHT, WIDTH = 24, 32
VIDEO_LEVELS = 6  # MJPG at OpenCV's default quality, of one grey level per frame


def write(path: Path, level: int = 0) -> Path:
    """Write a picture of one grey level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), level, np.uint8))
    return path


def write_list(folder: Path, *lines: str, name: str = "truth.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def facts(dataset: Dataset) -> list[tuple[str, bool, str, str | None]]:
    """Return name, truth, kind and name of the mask of every sample."""
    return [(each.name, each.anomalous, each.kind, each.mask and each.mask.name) for each in dataset.samples]


def levels(dataset: Dataset) -> list[int]:
    """Read the pictures and give their grey levels, in order."""
    return [int(image[0, 0, 0]) for _, image in dataset.pictures()]


def test_folder_gives_kinds_and_masks(tmp_path: Path):
    """Kinds are the folders of `test`, in order; masks are found with `_mask` or without, or not at all."""
    for name in (
        "good/1.png",
        "crack/1.jpg",
        "crack/2.png",
        "crack/._2.png",
        "stain/1.png",
        ".cache/1.png",
        "loose.png",
    ):
        write(tmp_path / "test" / name)
    for name in ("crack/1_mask.png", "crack/2.png", "good/1.png"):
        write(tmp_path / "ground_truth" / name)
    (tmp_path / "test" / "readme.txt").write_text("no picture")
    found = open_dataset(tmp_path)
    assert facts(found) == [
        ("test/crack/1.jpg", True, "crack", "1_mask.png"),
        ("test/crack/2.png", True, "crack", "2.png"),
        ("test/good/1.png", False, "good", None),
        ("test/stain/1.png", True, "stain", None),
    ]
    assert not found.in_time
    assert found.left_out == 1  # loose.png has no kind
    assert "1 pictures lie directly in test" in found.notes[0]


def test_list_of_paths(tmp_path: Path):
    """Frames and masks of a list are found from the list's own folder, in the order of its lines, spaces ignored."""
    for level, name in enumerate(("b.png", "a.png", "sub/c.png", "masks/c_mask.png"), start=1):
        write(tmp_path / name, level)
    lines = ("label, frame, mask, note", "good ,b.png ,,x", "Anomalous, sub/c.png, masks/c_mask.png,", "normal,a.png")
    found = open_dataset(write_list(tmp_path, *lines))
    assert facts(found) == [
        ("b.png", False, "good", None),
        ("sub/c.png", True, "anomalous", "c_mask.png"),
        ("a.png", False, "good", None),
    ]
    assert found.in_time
    assert levels(found) == [1, 3, 2]


def test_list_of_numbers(tmp_path: Path):
    """Numbers name the files of `frames` and `masks` beside the list; normal pictures have no mask."""
    for number in (1, 2, 30):
        write(tmp_path / "frames" / f"{number:06d}.jpg", number)
        write(tmp_path / "masks" / f"{number:06d}_mask.png", number)
    found = open_dataset(write_list(tmp_path, "frame,label", "1,normal", "30,bad", "2,train", "2,", "2,train"))
    assert facts(found) == [("000001.jpg", False, "good", None), ("000030.jpg", True, "anomalous", "000030_mask.png")]
    assert [sample.place for sample in found.samples] == [1, 2]
    assert found.left_out == 3
    assert "(2 train, 1 without a label)" in found.notes[0]


def test_frames_and_masks_may_be_elsewhere(tmp_path: Path):
    """With --frames and --masks, numbers and paths are looked up there, and masks by the frame's own path."""
    for name in ("f/7.png", "f/cam/x.png", "m/7.png", "m/cam/x.png"):
        write(tmp_path / name)
    path = write_list(tmp_path / "elsewhere", "frame,label", "7,bad", "cam/x.png,bad")
    found = open_dataset(path, frames=tmp_path / "f", masks=tmp_path / "m")
    assert [sample.mask for sample in found.samples] == [tmp_path / "m" / "7.png", tmp_path / "m" / "cam" / "x.png"]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Write a video of ten frames, each ten grey levels lighter than the last."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for number in range(1, 11):
        writer.write(np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8))
    writer.release()
    return path


def test_list_of_a_video(tmp_path: Path, video: Path):
    """Frames of a video count from 1 and come in the video's order, whatever the list's; a few can be had again."""
    mask = write(tmp_path / "masks" / "0004.png")
    path = write_list(tmp_path, "frame,label", "9,normal", "4,bad", "2,normal", "3,train")
    found = open_dataset(path, frames=video)
    assert [sample.name for sample in found.samples] == [f"{video}#{number}" for number in (2, 4, 9)]
    assert [sample.place for sample in found.samples] == [2, 4, 9]
    assert found.samples[1].mask == mask
    assert levels(found) == pytest.approx([20, 40, 90], abs=VIDEO_LEVELS)
    again = [(number, int(image[0, 0, 0])) for number, image in found.pictures({2, 0})]
    assert [number for number, _ in again] == [0, 2]
    assert [level for _, level in again] == pytest.approx([20, 90], abs=VIDEO_LEVELS)


def test_video_that_is_too_short_is_named(tmp_path: Path, video: Path):
    """A list that goes on after the end of the video is refused, with both numbers."""
    found = open_dataset(write_list(tmp_path, "frame,label", "1,normal", "12,bad"), frames=video)
    with pytest.raises(NoImages, match="ends after 10 frames, the list names frame 12"):
        levels(found)


def test_mask_is_all_that_is_not_black(tmp_path: Path):
    """A mask may be painted in any value or colour."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[2, 3], image[4, 5] = (1, 0, 0), (255, 255, 255)
    cv2.imwrite(str(tmp_path / "m.png"), image)
    assert np.argwhere(read_mask(tmp_path / "m.png", (HEIGHT, WIDTH))).tolist() == [[2, 3], [4, 5]]


def test_mask_of_another_size_is_refused(tmp_path: Path):
    """A mask that does not fit its picture is refused, with both sizes."""
    with pytest.raises(UnreadableImage, match="a mask of 32 x 24 pixels for a picture of 10 x 24"):
        read_mask(write(tmp_path / "m.png"), (HEIGHT, 10))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("picture,truth", "1,good"), "no column frame and no column label"),
        (("frame,truth", "1,good"), "no column label"),
        (("",), "no column"),
        (("frame,label",), "no row is labelled"),
        (("frame,label", "1,train"), "no row is labelled"),
        (("frame,label", "5,good"), "no picture with the number 5"),
        (("frame,label", "9" * 5000 + ",good"), "is not in"),
        (("frame,label", "gone.png,good"), "frame 'gone.png' is not in"),
        (("frame,label", "here\0.png,good"), "not"),
        (("frame,label", ",good"), "frame '' is not in"),
        (("frame,label,mask", "1,bad,gone.png"), "mask 'gone.png' is not in"),
    ],
)
def test_list_that_cannot_be_used_is_refused(tmp_path: Path, lines: tuple[str, ...], said: str):
    """What is wrong with a list is said in one line that names the list."""
    write(tmp_path / "frames" / "1.png")
    path = write_list(tmp_path, *lines)
    with pytest.raises(UsageError, match=said) as caught:
        open_dataset(path)
    assert str(path) in str(caught.value)


def test_list_that_is_no_text_is_refused(tmp_path: Path):
    """A file that is no text at all is no list."""
    (tmp_path / "truth.csv").write_bytes(b"\xff\xfe\x00frame,label")
    with pytest.raises(UsageError, match="not a CSV list"):
        open_dataset(tmp_path / "truth.csv")
    write(tmp_path / "masks" / "1.png")
    write(tmp_path / "masks" / "001_mask.png")
    with pytest.raises(UsageError, match="not a CSV list"):  # and not that two masks have one number
        open_dataset(tmp_path / "truth.csv")


def test_list_in_the_encoding_of_a_spreadsheet_is_read(tmp_path: Path):
    """The mark that spreadsheets put before UTF-8 does not hide the first column."""
    write(tmp_path / "frames" / "1.png")
    path = tmp_path / "truth.csv"
    path.write_bytes(b"\xef\xbb\xbfframe,label\r\n1,good\r\n")
    assert facts(open_dataset(path)) == [("1.png", False, "good", None)]


def test_two_files_of_one_number_are_refused(tmp_path: Path):
    """Where two files could be meant by a number, none is taken."""
    write(tmp_path / "frames" / "1.png")
    write(tmp_path / "frames" / "001.png")
    with pytest.raises(UsageError, match="has the number of"):
        open_dataset(write_list(tmp_path, "frame,label", "1,good"))


def test_frames_that_do_not_fit_a_video_are_refused(tmp_path: Path, video: Path):
    """A path, or frame 0, is no frame of a video, and a file that is no video has no frames."""
    for frame, said in (("a.png", "not the number of a frame"), ("0", "frame 0")):
        with pytest.raises(UsageError, match=said):
            open_dataset(write_list(tmp_path, "frame,label", f"{frame},good"), frames=video)
    path = write_list(tmp_path, "frame,label", "1,good")
    with pytest.raises(NoImages, match="not a video"):
        levels(open_dataset(path, frames=path))


def test_places_that_are_not_there_are_refused(tmp_path: Path):
    """No data set, no folder `test`, no picture in it, and --frames that are not there or not for a folder."""
    (tmp_path / "data" / "test" / "good").mkdir(parents=True)
    path = write_list(tmp_path, "frame,label", "1,good")
    for arguments, said in (
        ({"path": tmp_path / "gone"}, "no such file or folder"),
        ({"path": tmp_path}, "has no folder test"),
        ({"path": tmp_path / "data"}, "no pictures"),
        ({"path": tmp_path / "data", "frames": tmp_path}, "go with a CSV list"),
        ({"path": path, "frames": tmp_path / "gone"}, "no such file or folder"),
        ({"path": path, "masks": tmp_path / "gone"}, "no such file or folder"),
    ):
        with pytest.raises(UsageError, match=said):
            open_dataset(**arguments)


def test_damaged_picture_is_named(tmp_path: Path):
    """A picture that is truncated is named when its turn comes."""
    bad = write(tmp_path / "test" / "good" / "1.png")
    bad.write_bytes(bad.read_bytes()[:30])
    with pytest.raises(UnreadableImage, match=r"good/1\.png"):
        levels(open_dataset(tmp_path))
