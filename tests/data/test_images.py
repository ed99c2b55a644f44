"""IDX files and folders of PNG files as spike latencies."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

import lambent as lb

PIXELS = np.array([[[0, 255], [51, 255]], [[0, 0], [0, 0]], [[10, 20], [30, 40]]], np.uint8)
LABELS = np.array([2, 0, 1], np.uint8)


def idx(x):
    return bytes([0, 0, 8, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.tobytes()


@pytest.fixture
def files(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels.gz"
    images.write_bytes(idx(PIXELS))
    labels.write_bytes(gzip.compress(idx(LABELS), mtime=0))
    return images, labels


def check(data):
    assert data.n_units == 4
    assert len(data) == 3
    events, _ = data.batch([0, 1, 2])
    assert events.offsets.tolist() == [0, 3, 3, 7]
    assert events.units.tolist() == [1, 3, 2, 3, 2, 1, 0]
    expected = [0.0, 0.0, 0.8 * 30, *(30 * (1 - v / 255) for v in (40, 30, 20, 10))]
    assert events.times.tolist() == pytest.approx(expected, rel=1e-6)


def test_idx_files_are_read(files):
    data = lb.data.from_idx(*files)
    check(data)
    assert data.labels.tolist() == [2, 0, 1]
    assert data.duration == 60.0


def test_png_folders_are_read(tmp_path):
    for name, pixels in zip(("2", "10", "a"), PIXELS, strict=True):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.png")
    data = lb.data.from_image_folder(tmp_path)
    check(data)
    assert data.class_names == ["2", "10", "a"]


def test_images_go_by_number_in_a_folder(tmp_path):
    (tmp_path / "x").mkdir()
    for n in (1, 2, 10):
        Image.fromarray(np.full((1, 1), n, np.uint8)).save(tmp_path / "x" / f"{n}.png")
    times = lb.data.from_image_folder(tmp_path, t_late=255.0, duration=300.0).times
    assert np.allclose(255 - times, [1, 2, 10])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file"),
        (b"\x00\x00\x09\x03" + bytes(12), "no IDX file"),
        (idx(PIXELS)[:-1], r"should hold \(3, 2, 2\) values, but 11 bytes"),
        (idx(LABELS), "no IDX file of unsigned bytes with 3"),
        (gzip.compress(idx(PIXELS), mtime=0)[:-9], "damaged|truncated gzip"),
    ],
)
def test_bad_idx_files_are_named(files, content, message):
    files[0].write_bytes(content)
    with pytest.raises(ValueError, match=message) as e:
        lb.data.from_idx(*files)
    assert str(files[0]) in str(e.value)


def test_numbers_must_agree(files):
    files[1].write_bytes(idx(LABELS[:2]))
    with pytest.raises(ValueError, match=r"3 images, .* 2 labels"):
        lb.data.from_idx(*files)


def test_what_is_no_class_is_passed_over(tmp_path):
    for folder in (".ipynb_checkpoints", "__MACOSX", "cat", "dog"):
        (tmp_path / folder).mkdir()
    for name in ("cat/1.png", "dog/1.png", ".ipynb_checkpoints/1.png", "cat/._1.png"):
        if "._" in name:
            (tmp_path / name).write_bytes(b"no image")
        else:
            Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / name)
    data = lb.data.from_image_folder(tmp_path)
    assert data.class_names == ["cat", "dog"]
    assert data.labels.tolist() == [0, 1]


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        lb.data.from_image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no PNG files"):
        lb.data.from_image_folder(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1\.png is no readable PNG"):
        lb.data.from_image_folder(tmp_path)
    for n, size in ((1, 2), (2, 3)):
        Image.fromarray(np.zeros((size, size), np.uint8)).save(tmp_path / "x" / f"{n}.png")
    with pytest.raises(ValueError, match=r"2\.png has size \(3, 3\)"):
        lb.data.from_image_folder(tmp_path)


def test_times_must_be_in_order(files):
    with pytest.raises(ValueError, match="t_early < t_late < duration"):
        lb.data.from_idx(*files, t_late=60.0)
