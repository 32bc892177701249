"""Solids and sweeps of the built-in shapes against volumes known in closed form."""

import numpy as np
import pytest
import trimesh

from data.procedural.curves import arc, interpolate, rounded_outline, smooth
from data.procedural.solids import Solid, box, concatenate, cylinder, ellipsoid, lathe, rotation, slab, tapered_box
from data.procedural.sweeps import ring, rod, sheet, tube


def as_mesh(solid: Solid) -> trimesh.Trimesh:
    return trimesh.Trimesh(solid.vertices, solid.faces, process=False)


def flat_grid(length: float, width: float) -> np.ndarray:
    x, z = np.meshgrid(np.linspace(0, length, 5), np.linspace(0, width, 4), indexing="ij")
    return np.stack([x, np.zeros_like(x), z], axis=-1)


@pytest.mark.parametrize(
    "solid, volume",
    [
        (box(2, 3, 5), 30.0),
        (tapered_box((2, 2), (1, 1), 3), 7.0),
        (slab(rounded_outline(2, 3, power=2, num_points=400), 0.5), np.pi * 1.5 * 0.5),
        (cylinder(2, 3, segments=400), np.pi * 12),
        (cylinder(1, 3, top_radius=0, segments=400), np.pi),
        (ellipsoid(1, 2, 3, segments=120, rings=120), 4 / 3 * np.pi * 6),
        (lathe([(1, 0), (2, 0), (2, 1), (1, 1), (1, 0)], segments=400), 3 * np.pi),
        (rod((0, 0, 0), (0, 0, 4), 0.5, segments=200), np.pi),
        (tube(arc(3, 0, 180, num_points=200), 0.2, segments=100), np.pi * 3 * np.pi * 0.04),
        (sheet(flat_grid(3, 2), 0.1), 0.6),
    ],
    ids=["box", "tapered", "slab", "cylinder", "cone", "ellipsoid", "hollow", "rod", "tube", "sheet"],
)
def test_volume_matches_the_formula_and_faces_point_outward(solid, volume):
    assert as_mesh(solid).volume == pytest.approx(volume, rel=2e-3)


@pytest.mark.parametrize("solid", [box(1, 2, 3), cylinder(1, 2), sheet(flat_grid(3, 2), 0.1), ellipsoid(1, 2, 3)])
def test_solid_is_closed(solid):
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=True)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent


def test_lathe_drops_triangles_without_area():
    solid = ellipsoid(1, 1, 1)
    assert (as_mesh(solid).area_faces > 0).all()


def test_mirroring_keeps_faces_outward():
    solid = tapered_box((1, 1), (0.5, 0.5), 1, shift=(0.4, 0)).moved(x=2)
    mirrored = solid.mirrored()
    assert as_mesh(mirrored).volume == pytest.approx(as_mesh(solid).volume)
    np.testing.assert_allclose(mirrored.vertices[:, 0], -solid.vertices[:, 0])


def test_rotation_is_right_handed():
    np.testing.assert_allclose(rotation("y", 90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation("x", 90) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation("z", 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_ring_lies_about_its_axis():
    vertices = ring(2.0, 0.1, axis="z").vertices
    radius = np.hypot(vertices[:, 0], vertices[:, 1])
    assert np.abs(vertices[:, 2]).max() <= 0.1 + 1e-9
    assert radius.min() >= 1.85
    assert radius.max() <= 2.1 + 1e-9


def test_flat_tube_is_wide_in_the_asked_direction():
    strap = tube(np.array([[0, 0, 0], [0, 1.0, 0]]), 0.5, flat=0.2, wide=(1, 0, 0), segments=16)
    np.testing.assert_allclose(np.ptp(strap.vertices, axis=0), [1.0, 1.0, 0.2], atol=1e-9)


def test_concatenated_solids_keep_their_faces():
    pair = concatenate([box(1, 1, 1), box(1, 1, 1).moved(x=5)])
    assert as_mesh(pair).volume == pytest.approx(2.0)


def test_smooth_passes_through_its_corners():
    corners = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    np.testing.assert_allclose(smooth(corners, num_points=5)[::2], corners, atol=1e-12)


def test_interpolate_is_linear_between_rows():
    np.testing.assert_allclose(interpolate([(0, 0, 1), (2, 4, 3)], np.array([0.5])), [[1.0, 1.5]])
