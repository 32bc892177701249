"""Pieces of programs: movements keep faces outward, rays find surfaces, cuts leave what they should."""

import numpy as np
import pytest
import trimesh

from data.procedural.dice import Dice
from data.procedural.programs.blocks import BLOCKS
from data.procedural.programs.deform import DEFORMATIONS, clipped, deformed, refined
from data.procedural.programs.joints import JOINTS
from data.procedural.programs.maker import Maker
from data.procedural.programs.outlines import OUTLINES, PROFILES, outline, profile
from data.procedural.programs.pieces import Piece, around, bounds, fitted, hit, mirrored, moved, pointing
from data.procedural.solids import Solid, box, ellipsoid

GREY = (0.5, 0.5, 0.5)


def volume(solid: Solid) -> float:
    return trimesh.Trimesh(solid.vertices, solid.faces, process=False).volume


def dice(seed: int = 0) -> Dice:
    return Dice(np.random.default_rng(seed))


def test_mirrored_pieces_keep_their_faces_outward():
    piece = moved([Piece(box(1, 2, 3), GREY)], x=2)
    assert volume(mirrored(piece)[0].solid) == pytest.approx(6)
    np.testing.assert_allclose(bounds(mirrored(piece))[0], [-2.5, -1, -1.5])


def test_copies_stand_around_the_axis():
    ring = around(moved([Piece(box(0.2, 0.2, 0.2), GREY)], x=2), 4)
    centres = [solid.vertices.mean(axis=0) for solid, _ in ring]
    np.testing.assert_allclose(centres, [(2, 0, 0), (0, 0, -2), (-2, 0, 0), (0, 0, 2)], atol=1e-9)


def test_a_fitted_part_stands_on_the_ground():
    part = fitted(moved([Piece(box(1, 2, 3), GREY)], 5, 6, 7), (2, 4, 3))
    np.testing.assert_allclose(bounds(part), [(-1, 0, -1.5), (1, 4, 1.5)], atol=1e-9)


@pytest.mark.parametrize("direction", [(0, 1, 0), (1, 0, 0), (0, -1, 0), (0.3, -0.2, 2)])
def test_pointing_turns_y_to_the_direction(direction):
    matrix = pointing(direction, 25)
    np.testing.assert_allclose(matrix @ (0, 1, 0), np.array(direction) / np.linalg.norm(direction), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_a_ray_meets_the_nearest_surface_or_none():
    pieces = [Piece(box(1, 1, 1), GREY), *moved([Piece(box(1, 1, 1), GREY)], y=3)]
    np.testing.assert_allclose(hit(pieces, (0.1, 9, 0.2), (0, -1, 0)), (0.1, 3.5, 0.2))
    np.testing.assert_allclose(hit(pieces, (0.1, 2, 0.2), (0, -2, 0)), (0.1, 0.5, 0.2))
    assert hit(pieces, (0.7, 9, 0), (0, -1, 0)) is None


@pytest.mark.parametrize("solid", [box(2, 2, 2), ellipsoid(1, 1, 1)])
def test_both_sides_of_a_cut_are_closed_and_make_up_the_solid(solid):
    normal = np.array([0.6, 0.64, 0.48])
    lower, upper = clipped(solid, normal, 0.3), clipped(solid, -normal, -0.3)
    assert volume(lower) + volume(upper) == pytest.approx(volume(solid))
    assert volume(lower) > 1.2 * volume(upper) > 0
    assert (lower.vertices @ normal).max() == pytest.approx(0.3)
    assert volume(clipped(box(2, 2, 2), np.array([0, 1, 0]), 0.3)) == pytest.approx(2 * 2 * 1.3)
    assert clipped(solid, normal, -9.0) is None
    assert volume(clipped(solid, normal, 9.0)) == pytest.approx(volume(solid))


def test_refining_changes_no_surface():
    fine = refined(box(1, 2, 3))
    assert len(fine.faces) == 16 * len(box(1, 2, 3).faces)
    assert volume(fine) == pytest.approx(6)


@pytest.mark.parametrize("kind", DEFORMATIONS)
def test_a_deformation_moves_a_part_by_its_own_size_at_most(kind):
    part = [Piece(box(1, 2, 3), GREY)]
    found = deformed(part, dice(), kind)[0].solid.vertices
    away = np.abs(found - refined(box(1, 2, 3)).vertices)
    assert away.max() > 0.01
    assert np.linalg.norm(away, axis=1).max() < 4


@pytest.mark.parametrize("kind", OUTLINES)
def test_an_outline_goes_round_its_centre_once(kind):
    for seed in range(5):
        flat = outline(dice(seed), kind)
        angle = np.unwrap(np.arctan2(flat[:, 1], flat[:, 0]))
        assert (np.diff(angle) > 0).all()
        assert 0.8 < np.ptp(flat, axis=0).max() < 1.5


@pytest.mark.parametrize("kind", PROFILES)
def test_a_profile_rises_from_0_to_1(kind):
    rows = profile(dice(), kind)
    assert rows[[0, -1], 1].tolist() == [0, 1]
    assert (np.diff(rows[:, 1]) >= 0).all()
    assert (rows[:, 0] >= 0).all()


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_fills_the_box_that_is_asked_for(kind):
    for seed in range(3):
        low, high = bounds(Maker(dice(seed), JOINTS).block((1, 2, 3), kind))
        np.testing.assert_allclose((low[1], *(high - low)), (0, 1, 2, 3), atol=1e-9)


@pytest.mark.parametrize("kind", JOINTS)
def test_a_joint_makes_a_part_of_several_colourful_pieces(kind):
    rule, _ = JOINTS[kind]
    pieces = rule(Maker(dice(1), JOINTS), np.array([1.0, 0.7, 0.5]), 1)
    low, high = bounds(pieces)
    assert len(pieces) > 1
    assert np.isfinite(low).all()
    assert (high - low).max() < 3.5
    assert (high - low).min() > 0.01


def test_a_part_is_set_where_a_ray_meets_the_body():
    maker, body = Maker(dice(), JOINTS), [Piece(box(1, 1, 1), GREY)]
    child = fitted([Piece(box(1, 1, 1), GREY)], (0.1, 0.4, 0.1))
    placed = maker.attached(body, child, (5, 0.2, 0.1), (1, 0, 0), 0.05)
    np.testing.assert_allclose(bounds(placed), [(0.45, 0.15, 0.05), (0.85, 0.25, 0.15)], atol=1e-9)
    assert maker.attached(body, child, (5, 2, 0), (1, 0, 0), 0.05) == []
