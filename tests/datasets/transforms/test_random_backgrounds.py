import numpy as np
import pytest

from datasets.transforms.random_backgrounds import RandomBackgrounds, draw_background
from tests.support.tiny_trees import disc_view

HIDDEN = (255, 0, 255)


def others(rng):
    return disc_view(20, seed=int(rng.integers(5)))


def compose(view, seed, object_min=1.0):
    return RandomBackgrounds(object_min).compose(view, np.random.default_rng(seed), others)


def bounds(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], rows[-1], columns[0], columns[-1]


def test_opaque_pixels_stay_transparent_ones_take_the_drawn_background_and_soft_ones_some_of_it():
    view = disc_view(24, HIDDEN)
    view[12, 12, 3] = 51  # a fifth
    opaque, clear = view[..., 3] == 255, view[..., 3] == 0
    for seed in range(40):
        picture = compose(view, seed)
        drawn = draw_background(24, 24, np.random.default_rng(seed), others)
        behind = np.broadcast_to(drawn if drawn.ndim == 3 else drawn[:, None, None], (3, 24, 24)).astype(np.uint8)
        np.testing.assert_array_equal(picture[:, opaque], view[opaque, :3].T)
        np.testing.assert_array_equal(picture[:, clear], behind[:, clear])
        mixed = 0.2 * view[12, 12, :3] + 0.8 * behind[:, 12, 12]
        np.testing.assert_allclose(picture[:, 12, 12], mixed, atol=0.51)


def test_a_background_depends_on_its_generator_alone_and_few_are_alike():
    view = np.zeros((13, 17, 4), np.uint8)
    pictures = [compose(view, seed) for seed in range(60)]
    assert all(picture.shape == (3, 13, 17) for picture in pictures)
    assert np.array_equal(pictures[7], compose(view, 7))
    assert len({picture.tobytes() for picture in pictures}) == 60


def test_a_quarter_is_plain_and_a_quarter_shows_another_view():
    asked = []
    drawn = [
        draw_background(16, 16, np.random.default_rng(seed), lambda rng: asked.append(rng) or others(rng))
        for seed in range(400)
    ]
    assert 70 < sum(picture.ndim == 1 for picture in drawn) < 130
    assert 70 < len(asked) < 130


def test_opaque_views_draw_the_same_whether_their_file_says_so_or_not():
    rgb = disc_view(16)[..., :3]
    stored = np.dstack([rgb, np.full((16, 16), 255, np.uint8)])
    assert all(np.array_equal(compose(rgb, seed, 0.5), compose(stored, seed, 0.5)) for seed in range(9))


@pytest.mark.parametrize("object_min", [0.3, 0.8])
def test_a_view_shrinks_to_no_less_than_its_share_and_stands_anywhere_inside(object_min):
    view = np.full((40, 40, 4), 255, np.uint8)
    view[..., 1:3] = 0  # red, to every border
    places = set()
    for seed in range(60):
        top, bottom, left, right = bounds((compose(view, seed, object_min) == [[[255]], [[0]], [[0]]]).all(axis=0))
        assert 40 * object_min - 1 <= bottom + 1 - top == right + 1 - left <= 40
        places.add((top, left))
    assert len(places) > 10
