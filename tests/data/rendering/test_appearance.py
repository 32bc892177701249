"""data.rendering.appearance: the colours that come out of files, seen through the whole renderer."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.rendering.raycast import Raycaster
from datasets.shapes.cameras import Camera, look_at
from datasets.shapes.meshes import load_mesh

CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2
FACES = np.array([[0, 1, 2], [0, 2, 3]])
UV = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
RED, GREEN, BLUE, YELLOW = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]


def _image() -> Image.Image:
    """Red and green above, blue and yellow below."""
    return Image.fromarray(np.array([[RED, GREEN], [BLUE, YELLOW]], dtype=np.uint8).repeat(16, 0).repeat(16, 1))


def _textured(repeats: int = 1, shift: float = 0.0) -> trimesh.Trimesh:
    visual = trimesh.visual.TextureVisuals(uv=UV * repeats, image=_image())
    return trimesh.Trimesh(CORNERS + [shift, 0, 0], FACES, process=False, visual=visual)


def _hues(mesh: trimesh.Trimesh, where: list[tuple[float, float]]) -> list[list[int]]:
    """Which channels are lit at world positions (x, y, 0), seen from the front: [1, 0, 0] is red."""
    size = 200
    intrinsics = np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    camera = Camera(intrinsics, look_at(np.array([0.0, 0.0, 4.0])), (size, size))
    rgba, _ = Raycaster(mesh).render(camera)
    pixels = [rgba[int(size / 2 - y * size / 4), int(size / 2 + x * size / 4)] for x, y in where]
    return [(pixel[:3] > 128).astype(int).tolist() for pixel in pixels]


QUADRANTS = [(-0.25, 0.25), (0.25, 0.25), (-0.25, -0.25), (0.25, -0.25)]


def _save(mesh: trimesh.Trimesh, folder: Path, name: str) -> trimesh.Trimesh:
    mesh.export(folder / name)
    return load_mesh(folder / name)


def test_texture_of_an_obj_lies_the_right_way_up(tmp_path: Path) -> None:
    mesh = _save(_textured(), tmp_path, "quad.obj")
    assert _hues(mesh, QUADRANTS) == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_texture_of_a_glb_lies_the_right_way_up(tmp_path: Path) -> None:
    visual = trimesh.visual.TextureVisuals(
        uv=UV, material=trimesh.visual.material.PBRMaterial(baseColorTexture=_image())
    )
    mesh = _save(trimesh.Trimesh(CORNERS, FACES, process=False, visual=visual), tmp_path, "quad.glb")
    assert _hues(mesh, QUADRANTS) == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_glb_colour_factor_tints_its_texture(tmp_path: Path) -> None:
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=_image(), baseColorFactor=[255, 0, 255, 255])
    visual = trimesh.visual.TextureVisuals(uv=UV, material=material)
    mesh = _save(trimesh.Trimesh(CORNERS, FACES, process=False, visual=visual), tmp_path, "quad.glb")
    assert _hues(mesh, QUADRANTS) == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_texture_coordinates_beyond_one_repeat_the_image(tmp_path: Path) -> None:
    mesh = _save(_textured(repeats=2), tmp_path, "tiles.obj")
    row = [(-0.375, 0.375), (-0.125, 0.375), (0.125, 0.375), (0.375, 0.375)]
    column = [(-0.375, 0.375), (-0.375, 0.125), (-0.375, -0.125), (-0.375, -0.375)]
    assert _hues(mesh, row) == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert _hues(mesh, column) == [[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_vertex_colours_are_interpolated(tmp_path: Path) -> None:
    quad = trimesh.Trimesh(CORNERS, FACES, process=False, vertex_colors=[RED, RED, BLUE, BLUE])
    mesh = _save(quad, tmp_path, "quad.ply")
    assert _hues(mesh, [(0.1, -0.45), (0.1, 0.45)]) == [[1, 0, 0], [0, 0, 1]]


def test_face_colours_are_read(tmp_path: Path) -> None:
    mesh = _save(trimesh.Trimesh(CORNERS, FACES, process=False, face_colors=[RED, GREEN]), tmp_path, "quad.ply")
    assert _hues(mesh, [(0.25, -0.25), (-0.25, 0.25)]) == [[1, 0, 0], [0, 1, 0]]


def test_materials_without_a_texture_give_their_colour(tmp_path: Path) -> None:
    (tmp_path / "two.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n")
    vertices = "".join(f"v {x} {y} 0\n" for x, y in [(-1, 0), (0, 0), (1, 0), (-1, 1), (0, 1), (1, 1)])
    (tmp_path / "two.obj").write_text(f"mtllib two.mtl\n{vertices}usemtl red\nf 1 2 5 4\nusemtl blue\nf 2 3 6 5\n")
    assert _hues(load_mesh(tmp_path / "two.obj"), [(-0.5, 0.5), (0.5, 0.5)]) == [[1, 0, 0], [0, 0, 1]]


def test_textured_and_coloured_parts_keep_their_own_look(tmp_path: Path) -> None:
    blue = trimesh.Trimesh(CORNERS - [0.6, 0, 0], FACES, process=False, face_colors=[BLUE, BLUE])
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=_image())
    visual = trimesh.visual.TextureVisuals(uv=UV * 2, material=material)
    tiles = trimesh.Trimesh(CORNERS + [0.6, 0, 0], FACES, process=False, visual=visual)
    trimesh.Scene([tiles, blue]).export(tmp_path / "both.glb")
    row = [(-0.6, 0.375), (0.225, 0.375), (0.475, 0.375), (0.725, 0.375), (0.975, 0.375)]
    expected = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert _hues(load_mesh(tmp_path / "both.glb"), row) == expected


def test_a_material_file_that_is_missing_leaves_grey(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("mtllib gone.mtl\nusemtl x\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert _hues(load_mesh(tmp_path / "a.obj"), [(0.25, 0.25)]) == [[1, 1, 1]]


def test_faces_removed_after_merging_are_noticed(tmp_path: Path) -> None:
    trimesh.Scene([_textured(), _textured(shift=2)]).export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    with pytest.raises(ValueError, match="3 faces"):
        Raycaster(mesh)
