"""datasets.meshes.mtl_file: colours and textures of OBJ files, through the whole reader."""

import re

import numpy as np
import pytest
from PIL import Image

from datasets.meshes.surface import LOOKS
from datasets.shapes.meshes import load_mesh

QUAD = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"


def _load(folder, mtl, text=f"mtllib a.mtl\n{QUAD}usemtl m\nf 1/1 2/2 3/3 4/4\n"):
    (folder / "Maps").mkdir(exist_ok=True)
    Image.new("RGB", (2, 2), "red").save(folder / "Maps/Red Wood.PNG")
    (folder / "a.mtl").write_text(mtl)
    (folder / "a.obj").write_text(text)
    return load_mesh(folder / "a.obj").metadata


@pytest.mark.parametrize(
    "statement",
    [
        "map_Kd Maps/Red Wood.PNG",
        r"map_Kd maps\red wood.png",
        "map_Kd C:\\Users\\me\\Maps\\Red Wood.PNG",
        "map_Kd -blendu on -mm 0 1 -clamp off -texres 64 Maps/Red Wood.PNG",
        "\tmap_kd  -o 0 0 0 Maps/Red Wood.PNG  ",
    ],
)
def test_texture_is_found_by_names_as_programs_write_them(tmp_path, statement):
    if "Users" in statement:
        statement = statement.replace("Maps\\", "")
        (tmp_path / "Red Wood.PNG").write_bytes(b"")
        Image.new("RGB", (2, 2), "red").save(tmp_path / "Red Wood.PNG")
    metadata = _load(tmp_path, f"newmtl m\nKd 0 0 0\n{statement}\n")
    assert metadata["notes"] == []
    ((_, look),) = metadata[LOOKS]
    assert look.texture.getpixel((0, 0)) == (255, 0, 0)
    assert look.colour is None  # a texture is not multiplied by the diffuse colour


def test_texture_coordinates_are_scaled_and_moved(tmp_path):
    ((_, look),) = _load(tmp_path, "newmtl m\nmap_Kd -s 2 3 1 -o 0.5 Maps/Red Wood.PNG\n")[LOOKS]
    np.testing.assert_allclose(look.uv[:3], [[0.5, 0], [2.5, 0], [2.5, 3]])


def test_several_material_files_are_read_also_with_blanks_in_their_names(tmp_path):
    for name, colour in (("b c.mtl", "0 1 0"), ("d.mtl", "0 0 1")):
        (tmp_path / name).write_text(f"newmtl {name[0]}\nKd {colour}\n")
    text = f"mtllib b c.mtl\nmtllib a.mtl d.mtl\n{QUAD}usemtl b\nf 1 2 3\nusemtl d\nf 1 3 4\nusemtl m\nf 1 2 4\n"
    looks = [look.colour.tolist() for _, look in _load(tmp_path, "newmtl m\nKd 0.2\n", text)[LOOKS]]
    assert looks == [[0, 255, 0], [0, 0, 255], [51, 51, 51]]


def test_vertex_colours_multiply_the_colour_of_the_material(tmp_path):
    text = "mtllib a.mtl\nv 0 0 0 1 0.5 0\nv 1 0 0 1 0.5 0\nv 0 1 0 1 0.5 0\nusemtl m\nf 1 2 3\n"
    ((_, look),) = _load(tmp_path, "newmtl m\nKd 1 1 0.5\n", text)[LOOKS]
    np.testing.assert_allclose(look.vertex_colours[0], [255, 127.5, 0])
    np.testing.assert_allclose(look.colour, [255, 255, 127.5])


@pytest.mark.parametrize(
    "mtl, note",
    [
        ("newmtl m\nmap_Kd gone.png\n", "texture gone.png not found: left out"),
        ("newmtl m\nmap_Kd a.mtl\n", "texture a.mtl left out: .*a.mtl is not a readable picture"),
        ("newmtl m\nKd red\n", "material colour 'Kd red' of a.mtl is no colour: left out"),
        ("newmtl n\n", "material m is in no material file: its faces are left grey"),
    ],
)
def test_what_cannot_be_used_is_noted(tmp_path, mtl, note):
    (found,) = _load(tmp_path, mtl)["notes"]
    assert re.match(note, found)
