"""The small inputs of ../shared/cases that went wrong once, each with its right answer; skipped where it is absent."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from datasets.meshes.surface import LOOKS
from datasets.shapes.meshes import load_mesh
from datasets.shapes.views import load_view
from models.weights.weight_file import read_weights
from tests.support.surfaces import distance

ARROW_AREA = 6.0


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def test_relative_indices(cases: Path) -> None:
    corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [6, 0, 0], [5, 1, 0]]
    expected = trimesh.Trimesh(corners, [[0, 1, 2], [3, 4, 5]], process=False)
    assert distance(load_mesh(cases / "rel.obj"), expected) < 0.1


@pytest.mark.parametrize(
    "name, area, faces",
    [
        ("arrow.obj", ARROW_AREA, 2), ("arrow.off", ARROW_AREA, 2), ("mixed.ply", None, 3), ("penta_tri.off", None, 4),
        ("tab.obj", 0.5, 1), ("tail.stl", None, 1),
    ],
)  # fmt: skip
def test_polygons_and_bytes_at_the_end(cases: Path, name: str, area: float | None, faces: int) -> None:
    mesh = load_mesh(cases / name)
    assert len(mesh.faces) == faces
    assert area is None or mesh.area == pytest.approx(area)


def test_normalised_integers_are_fractions(cases: Path) -> None:
    mesh = load_mesh(cases / "glb_quant_normalized.glb")
    assert mesh.bounds[0].min() > -1e-3
    assert mesh.bounds[1].max() == pytest.approx(1.5, abs=1e-3)


def test_instances_are_eight(cases: Path) -> None:
    mesh = load_mesh(cases / "glb_instancing.glb")
    assert len(mesh.faces) == 8 * 12
    np.testing.assert_allclose(mesh.bounds[:, 2], [-0.1, 3.6], atol=1e-6)


def test_draco_is_refused_by_name(cases: Path) -> None:
    """The bytes of the case are no Draco, so it is refused with the package, too."""
    with pytest.raises(
        ValueError, match=r"glb_draco_mixed\.glb: .*KHR_draco_mesh_compression(; run: pip install DracoPy)?"
    ):
        load_mesh(cases / "glb_draco_mixed.glb")


def test_sixteen_bit_colours_are_orange(cases: Path) -> None:
    ((_, look),) = load_mesh(cases / "glb_colour_orange_u16.glb").metadata[LOOKS]
    red, green, blue = look.vertex_colours[0]
    assert red > green > blue + 50


def test_sixteen_bit_picture_is_a_ramp(cases: Path) -> None:
    row = np.asarray(load_view(cases / "grey16.png"))[0, :, 0].astype(int)
    assert row[0] == 0
    assert row[-1] == 255
    assert 0 < np.diff(row).max() < 64


def test_web_page_saved_as_weights_is_named(cases: Path) -> None:
    with pytest.raises(ValueError, match=r"drive_page\.pth is a web page, not weights: download it again"):
        read_weights(cases / "drive_page.pth")
