"""data.rendering.appearance: the colours that come out of files, seen through the whole renderer."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.rendering.appearance import Texture
from data.rendering.raycast import Raycaster
from datasets.shapes.cameras import Camera, look_at
from datasets.shapes.meshes import load_mesh

CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2
FACES = np.array([[0, 1, 2], [0, 2, 3]])
UV = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
RED, GREEN, BLUE, YELLOW = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]


def _image():
    """Red and green above, blue and yellow below."""
    return Image.fromarray(np.array([[RED, GREEN], [BLUE, YELLOW]], dtype=np.uint8).repeat(16, 0).repeat(16, 1))


def _quad(shift=0.0, **look):
    return trimesh.Trimesh(CORNERS + [shift, 0, 0], FACES, process=False, **look)


def _textured(shift=0.0, repeats=1, **options):
    return _quad(shift, visual=trimesh.visual.TextureVisuals(uv=UV * repeats, image=_image(), **options))


def _material(**factors):
    return trimesh.visual.material.PBRMaterial(baseColorTexture=_image(), **factors)


def _hues(mesh, where):
    """Which channels are lit at world positions (x, y, 0), seen from the front: [1, 0, 0] is red."""
    size = 200
    intrinsics = np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    camera = Camera(intrinsics, look_at(np.array([0.0, 0.0, 4.0])), (size, size))
    rgba, _ = Raycaster(mesh).render(camera)
    pixels = [rgba[int(size / 2 - y * size / 4), int(size / 2 + x * size / 4)] for x, y in where]
    return [(pixel[:3] > 128).astype(int).tolist() for pixel in pixels]


QUADRANTS = [(-0.25, 0.25), (0.25, 0.25), (-0.25, -0.25), (0.25, -0.25)]


def _save(mesh, folder, name):
    mesh.export(folder / name)
    return load_mesh(folder / name)


@pytest.mark.parametrize("name", ["quad.obj", "quad.glb"])
def test_texture_lies_the_right_way_up(tmp_path, name):
    options = {"material": _material()} if name == "quad.glb" else {}
    mesh = _save(_textured(**options), tmp_path, name)
    assert _hues(mesh, QUADRANTS) == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]


def test_glb_colour_factor_tints_its_texture(tmp_path):
    mesh = _save(_textured(material=_material(baseColorFactor=[255, 0, 255, 255])), tmp_path, "quad.glb")
    assert _hues(mesh, QUADRANTS) == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_texture_coordinates_beyond_one_repeat_the_image(tmp_path):
    mesh = _save(_textured(repeats=2), tmp_path, "tiles.obj")
    row = [(-0.375, 0.375), (-0.125, 0.375), (0.125, 0.375), (0.375, 0.375)]
    column = [(-0.375, 0.375), (-0.375, 0.125), (-0.375, -0.125), (-0.375, -0.375)]
    assert _hues(mesh, row) == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert _hues(mesh, column) == [[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("how, expected", [("repeat", [0, 1, 0, 1]), ("clamp", [0, 0, 1, 1]), ("mirror", [1, 0, 1, 0])])
def test_textures_wrap_beyond_their_border(how, expected):
    image = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8).repeat(2, 0)
    uv = np.array([[u, 0.5] for u in (-0.75, -0.25, 1.25, 1.75)], dtype=np.float32).repeat(3, 0)
    texture = Texture(np.arange(12).reshape(4, 3), uv, image, (how, how))
    assert texture(np.arange(4), np.full((4, 3), 1 / 3))[:, 0].round().astype(int).tolist() == expected


def test_vertex_colours_are_interpolated(tmp_path):
    mesh = _save(_quad(vertex_colors=[RED, RED, BLUE, BLUE]), tmp_path, "quad.ply")
    assert _hues(mesh, [(0.1, -0.45), (0.1, 0.45)]) == [[1, 0, 0], [0, 0, 1]]


def test_face_colours_are_read(tmp_path):
    mesh = _save(_quad(face_colors=[RED, GREEN]), tmp_path, "quad.ply")
    assert _hues(mesh, [(0.25, -0.25), (-0.25, 0.25)]) == [[1, 0, 0], [0, 1, 0]]


def test_materials_without_a_texture_give_their_colour(tmp_path):
    (tmp_path / "two.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n")
    vertices = "".join(f"v {x} {y} 0\n" for x, y in [(-1, 0), (0, 0), (1, 0), (-1, 1), (0, 1), (1, 1)])
    (tmp_path / "two.obj").write_text(f"mtllib two.mtl\n{vertices}usemtl red\nf 1 2 5 4\nusemtl blue\nf 2 3 6 5\n")
    assert _hues(load_mesh(tmp_path / "two.obj"), [(-0.5, 0.5), (0.5, 0.5)]) == [[1, 0, 0], [0, 0, 1]]


def test_textured_and_coloured_parts_keep_their_own_look(tmp_path):
    blue, tiles = _quad(-0.6, face_colors=[BLUE, BLUE]), _textured(0.6, repeats=2, material=_material())
    trimesh.Scene([tiles, blue]).export(tmp_path / "both.glb")
    row = [(-0.6, 0.375), (0.225, 0.375), (0.475, 0.375), (0.725, 0.375), (0.975, 0.375)]
    expected = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert _hues(load_mesh(tmp_path / "both.glb"), row) == expected


def test_a_material_file_that_is_missing_leaves_grey(tmp_path):
    (tmp_path / "a.obj").write_text("mtllib gone.mtl\nusemtl x\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert _hues(load_mesh(tmp_path / "a.obj"), [(0.25, 0.25)]) == [[1, 1, 1]]


def test_faces_removed_after_merging_are_noticed(tmp_path):
    trimesh.Scene([_textured(), _textured(shift=2)]).export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    with pytest.raises(ValueError, match="3 faces"):
        Raycaster(mesh)
