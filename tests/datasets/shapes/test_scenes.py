import numpy as np
import pytest

from datasets.shapes.background_removal import cut_background
from datasets.shapes.scenes import furnished_picture, smooth_picture

RED, GREEN = (220, 20, 20), (20, 220, 20)


def box_view(colour, height=30, width=24):
    """A box of one colour, off the middle of a transparent picture."""
    view = np.zeros((64, 64, 4), np.uint8)
    view[10 : 10 + height, 5 : 5 + width] = (*colour, 255)
    return view


def shown(picture, colour):
    """Mark the pixels that have a colour, but for the noise."""
    return (np.abs(np.asarray(picture).astype(int) - colour) < 14).all(axis=-1)


@pytest.mark.parametrize("seed", range(5))
def test_an_object_is_whole_in_both_pictures_at_its_own_size_and_others_stand_only_in_the_room(seed):
    others = [box_view(GREEN)] * 4
    smooth, room = (
        draw(box_view(RED), *more, np.random.default_rng(seed))
        for draw, more in ((smooth_picture, ()), (furnished_picture, (others,)))
    )
    for picture in (smooth, room):
        red = shown(picture, RED)
        assert picture.width == picture.height > 36
        assert red.sum() == pytest.approx(30 * 24, abs=8)
        assert (red.any(axis=1).sum(), red.any(axis=0).sum()) == (30, 24)
    greenest = [np.max(np.asarray(p)[..., 1].astype(int) - np.asarray(p)[..., [0, 2]].max(-1)) for p in (smooth, room)]
    assert greenest[0] < 45 < greenest[1]


def test_the_smooth_picture_can_be_cut_and_the_shadow_goes():
    cut = np.asarray(cut_background(smooth_picture(box_view(RED), np.random.default_rng(0))))
    kept = cut[..., 3] == 255
    assert kept.sum() == pytest.approx(30 * 24, rel=0.1)
    assert shown(cut[..., :3], RED)[kept].mean() > 0.95


def test_pictures_depend_on_the_generator_alone():
    for draw in (smooth_picture, lambda view, rng: furnished_picture(view, [box_view(GREEN)], rng)):
        one, same, other = (np.asarray(draw(box_view(RED), np.random.default_rng(seed))) for seed in (1, 1, 2))
        assert np.array_equal(one, same)
        assert one.shape != other.shape or not np.array_equal(one, other)


def test_a_view_that_shows_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing in the view is opaque"):
        smooth_picture(np.zeros((9, 9, 4), np.uint8), np.random.default_rng(0))
