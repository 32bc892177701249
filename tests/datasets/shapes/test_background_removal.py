import numpy as np
import pytest
from PIL import Image

from datasets.shapes.background_removal import MARGIN, MAX_SIDE, cut_background

HEIGHT, WIDTH = 120, 160


def wall(seed=0, noise=5.0):
    """(H, W, 3): a grey wall, darker towards one side, with grain."""
    shade = np.linspace(200, 120, WIDTH)[None, :, None] * np.ones((HEIGHT, 1, 3))
    return shade + np.random.default_rng(seed).normal(0, noise, (HEIGHT, WIDTH, 3))


def photo(pixels):
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def red_frame(pixels, hole=True):
    """A red square of 60 × 40 pixels, with a hole through which the wall is seen."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[30:90, 70:110] = True
    if hole:
        mask[45:75, 82:98] = False
    pixels[mask] = (170, 40, 30)
    return pixels


def test_the_object_is_cut_out_with_its_holes_and_framed_in_a_square():
    cut = np.asarray(cut_background(photo(red_frame(wall()))))
    assert cut.shape[0] == cut.shape[1] == pytest.approx(60 / (1 - 2 * MARGIN), abs=4)
    rows, columns = np.nonzero(cut[..., 3])
    assert np.ptp(rows) + 1 == pytest.approx(60, abs=4)
    assert np.ptp(columns) + 1 == pytest.approx(40, abs=4)
    middle = len(cut) // 2
    assert cut[middle, middle, 3] == 0  # the hole
    assert (cut[rows, columns, 0] > 140).all()
    assert rows.mean() == pytest.approx(columns.mean(), abs=2)


def test_a_shadow_is_background():
    pixels = wall()
    pixels[85:110, 20:140] *= 0.6
    cut = np.asarray(cut_background(photo(red_frame(pixels))))
    assert len(cut) == pytest.approx(60 / (1 - 2 * MARGIN), abs=4)


def test_an_object_over_the_border_and_grain_do_not_mislead():
    pixels = red_frame(wall(noise=9.0), hole=False)
    pixels[90:, 80:100] = (170, 40, 30)
    opaque = np.asarray(cut_background(photo(pixels)))[..., 3] > 0
    assert opaque.sum() == pytest.approx(60 * 40 + 30 * 20, rel=0.1)


def test_large_photos_are_reduced():
    assert max(cut_background(photo(red_frame(wall())).resize((1600, 1200))).size) <= MAX_SIDE


@pytest.mark.parametrize("content", ["nothing", "noise"])
def test_a_photo_without_an_object_on_a_background_is_refused(content):
    pixels = wall() if content == "nothing" else np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3))
    with pytest.raises(ValueError, match="no object to cut out"):
        cut_background(photo(pixels))
