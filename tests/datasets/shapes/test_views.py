import zlib
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from datasets.shapes.views import background_colour, load_view
from tests.support.damage import cut
from tests.support.tiny_trees import disc_view


@pytest.fixture
def view(tmp_path):
    """A view whose transparent pixels hide magenta."""
    path = tmp_path / "00.png"
    Image.fromarray(disc_view(16, hidden=(255, 0, 255))).save(path)
    return path


@pytest.mark.parametrize(
    "background, rgb", [("black", (0, 0, 0)), ("white", (255, 255, 255)), ((7, 80, 9), (7, 80, 9))]
)
def test_transparent_pixels_take_the_background_and_not_the_hidden_colour_and_opaque_ones_stay(view, background, rgb):
    pixels, inside = np.asarray(load_view(view, background)), disc_view(16)[..., 3] == 255
    assert pixels.shape == (16, 16, 3)
    assert (pixels[~inside] == rgb).all()
    np.testing.assert_array_equal(pixels[inside], disc_view(16)[inside][:, :3])


def test_half_transparent_pixels_are_mixed_by_their_alpha(tmp_path):
    Image.new("RGBA", (3, 3), (200, 100, 0, 51)).save(tmp_path / "a.png")  # 51 / 255 = one fifth
    assert load_view(tmp_path / "a.png", "white").getpixel((1, 1)) == (244, 224, 204)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_without_alpha_is_taken_as_it_is(tmp_path, mode):
    Image.new(mode, (5, 3), "gray").save(tmp_path / "a.png")
    assert load_view(tmp_path / "a.png", "white").getpixel((2, 2)) == (128, 128, 128)


@pytest.mark.parametrize(
    "image, grey",
    [
        (Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)), [0, 1, 128, 255]),
        (Image.fromarray(np.array([[[0, 255], [9, 255], [128, 255], [255, 0]]], dtype=np.uint8), "LA"), [0, 9, 128, 0]),
        (Image.fromarray(np.array([[[0, 0, 0, 255], [0, 0, 0, 127], [0, 0, 0, 0]]], "u1"), "CMYK"), [0, 128, 255]),
    ],
    ids=["16 bits", "grey with alpha", "CMYK"],
)
def test_other_modes_are_converted_and_never_clipped(tmp_path, image, grey):
    path = tmp_path / ("a.tif" if image.mode == "CMYK" else "a.png")
    image.save(path)
    np.testing.assert_array_equal(np.asarray(load_view(path))[0], np.repeat(np.array(grey)[:, None], 3, axis=1))


@pytest.mark.parametrize("dtype, kind", [("f4", "floating-point"), ("i4", "whole")])
def test_pictures_whose_range_is_unknown_are_refused_by_name(tmp_path, dtype, kind):
    Image.fromarray(np.zeros((2, 2), dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a\.tif holds {kind} numbers of 32 bits, whose range it does not say: save"):
        load_view(tmp_path / "a.tif")


def test_a_palette_picture_with_a_transparent_colour_is_composited(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 200, 9])
    image.save(tmp_path / "a.png", transparency=1)
    assert load_view(tmp_path / "a.png", (1, 2, 3)).getpixel((0, 0)) == (1, 2, 3)


def damage_pixels(view):
    content = bytearray(view.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    view.write_bytes(content)


def damage_chunk_name(view):
    Image.fromarray(disc_view(256)).save(view, compress_level=0)
    head, first, rest = view.read_bytes().split(b"IDAT", 2)
    view.write_bytes(head + b"IDAT" + first + b"\0DAT" + rest)


def announce_absurd_size(view):
    content = bytearray(view.read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2  # width and height in the header chunk
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    view.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [*map(cut, (0, 20, 200, -30)), damage_pixels, damage_chunk_name, announce_absurd_size]
)
def test_a_damaged_picture_is_named(view, damage):
    damage(view)
    with pytest.raises(ValueError, match=r"00\.png is not a readable picture"):
        load_view(view)


def test_a_picture_larger_than_any_rendering_is_refused_before_it_takes_memory(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (9000, 9000)).save(path)
    with pytest.raises(ValueError, match=r"huge\.png is not a readable picture \(9000 x 9000 pixels, at most"):
        load_view(path)


def test_a_picture_whose_bytes_ask_for_more_memory_than_there_is_is_named(view, monkeypatch):
    load = Mock(side_effect=MemoryError)
    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(ValueError, match=r"00\.png is not a readable picture \(MemoryError\)"):
        load_view(view)


def test_a_missing_picture_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        load_view(tmp_path / "absent.png")


@pytest.mark.parametrize("background", ["blue", (1, 2), (1, 2, 300), (0.5, 0.5, 0.5)])
def test_an_unknown_background_is_refused(background):
    with pytest.raises(ValueError, match="is not black, white or three whole numbers"):
        background_colour(background)
