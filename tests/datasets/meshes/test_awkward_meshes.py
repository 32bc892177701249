"""Mesh files as people bring them: each is read as its format's specification says, or refused with the reason."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from datasets.shapes.meshes import load_mesh
from tests.support.surfaces import distance

TRIANGLE = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"
ARROW = [[0, 0], [4, 2], [0, 4], [1, 2]]  # concave: the notch at the last corner is empty; area 6
ARROW_OFF = "OFF\n4 1 0\n" + "".join(f"{x} {y} 0\n" for x, y in ARROW)
PLY = (
    "ply\nformat ascii 1.0\n{extra}element vertex {n}\nproperty float x\nproperty float y\nproperty float z\n"
    "element face {f}\nproperty list uchar int {name}\nend_header\n"
)
SQUARE_PLY = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
FACET = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"


def _stl(count: int, held: int, tail: bytes = b"") -> bytes:
    facet = np.array([0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0], dtype="<f4").tobytes() + b"\0\0"
    return b"solid is no word that tells text from binary".ljust(80) + count.to_bytes(4, "little") + facet * held + tail


READ = {  # file -> its content, its area
    "relative.obj": (TRIANGLE + b"f -3 -2 -1\nv 5 0 0\nv 6 0 0\nv 5 1 0\nf -3 -2 -1\n", 1.0),
    "later_vertices.obj": (b"f 1 2 3\n" + TRIANGLE, 0.5),
    "indented.obj": (b"  v\t0 0 0 # origin\n\tv 1 0 0\nv 0 1 0 1.0\n f 1 2 3 # the only face\n", 0.5),
    "columns.obj": (TRIANGLE + b"v 1 1 0\nvt 0 0\nvn 0 0 1\nf 1 2//1 3/1/1\nf 2/1 4 3//1\n", 1.0),
    "bad_vt.obj": (TRIANGLE + b"vt nonsense\nvn x\nf 1/7 2/0 3/1\n", 0.5),
    "continued.obj": (TRIANGLE + b"f 1 \\\n2 \\\n3\nf 1 2 3\n", 1.0),
    "latin1.obj": (b"# fa\xe7ade\no caf\xe9\n" + TRIANGLE + b"f 1 2 3", 0.5),
    "bom.obj": (b"\xef\xbb\xbf" + TRIANGLE + b"f 1 2 3\r\n", 0.5),
    "utf16.obj": ((TRIANGLE.decode() + "f 1 2 3\n").encode("utf-16"), 0.5),
    "arrow.obj": ("".join(f"v {x} {y} 0\n" for x, y in ARROW).encode() + b"f 1 2 3 4\n", 6.0),
    "arrow.off": (f"{ARROW_OFF}4 0 1 2 3\n".encode(), 6.0),
    "turned_arrow.off": (f"{ARROW_OFF}4 1 2 3 0\n".encode(), 6.0),
    "mixed.off": (b"OFF # comment\n5 2 0\n0 0 0\n2 0 0\n2 2 0\n1 3 0\n0 2 0\n5 0 1 2 3 4\n3 0 1 2 0.5 0.5 0.5\n", 7.0),
    "one_line.off": (b"OFF 3 1 0 0 0 0 1 0 0 0 1 0 3 0 1 2", 0.5),
    "colours.off": (b"COFF\n3 1 0\n0 0 0 255 0 0 255\n1 0 0 255 0 0 255\n0 1 0 255 0 0 255\n3 0 1 2\n", 0.5),
    "mixed.ply": (PLY.format(extra="", n=4, f=2, name="vertex_index") + SQUARE_PLY + "4 0 1 2 3\n3 0 1 2\n", 1.5),
    "comments.ply": (PLY.format(extra="comment caf\xe9\nMade by hand\n", n=4, f=1, name="vertex_indices") + SQUARE_PLY
                     + "3 0 1 2\n", 0.5),
    "strips.ply": (PLY.format(extra="", n=4, f=1, name="vertex_indices").replace("element face", "element tristrips")
                   + SQUARE_PLY + "8 0 1 3 2 -1 0 1 2\n", 1.5),
    "tail.stl": (_stl(1, 1, b"\0"), 0.5),
    "crlf.ply": ((PLY.format(extra="", n=4, f=1, name="vertex_indices") + SQUARE_PLY + "4 0 1 2 3\n")
                 .replace("\n", "\r\n"), 1.0),
    "no_word.off": (b"3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", 0.5),
    "normals.off": (b"NOFF\n3 1 0\n0 0 0 0 0 1\n1 0 0 0 0 1\n0 1 0 0 0 1\n3 0 1 2\n", 0.5),
    "cp1252.obj": (b"# made by X\x85 v 9 9 9\no a\x85f 1 2 3\n" + TRIANGLE + b"f 1 2 3\n", 0.5),
    "mac.off": (b"OFF # c\r3 1 0\r0 0 0\r1 0 0\r0 1 0\r3 0 1 2\r", 0.5),
    "mac.stl": (f"solid a\n{FACET}endsolid a\n".replace("\n", "\r"), 0.5),
    "nul.stl": (f"solid a\n{FACET}endsolid a\n\0", 0.5),
    "both.ply": (PLY.format(extra="", n=4, f=1, name="vertex_indices").replace(
        "end_header", "element tristrips 1\nproperty list int int vertex_indices\nend_header") + SQUARE_PLY
                 + "3 0 1 2\n3 0 2 3\n", 1.0),
    "hash.obj": (TRIANGLE + b"usemtl a#1 # red\nf 1 2 3#c\n", 0.5),
    "BendSolid.stl": (f"solid BendSolid\n{FACET}endsolid BendSolid\n", 0.5),
    "two.stl": (f"solid outer loop\n{FACET}endsolid\nSOLID b\n{FACET.upper()}ENDSOLID b\n", 1.0),
}  # fmt: skip
REFUSED = {  # file -> its content, the message
    "zero.obj": (TRIANGLE + b"f 0 1 2\n", r"line 4: a face names vertex 0; OBJ counts from 1"),
    "beyond.obj": (TRIANGLE + b"f 1 2 4\n", r"line 4: a face names vertex 4, but the file has 3"),
    "before.obj": (TRIANGLE + b"f -4 1 2\n", r"line 4: a face names vertex -4; the file has 3 up to there"),
    "words.obj": (TRIANGLE + b"f a b c\n", r"line 4: expected corners such as 1, 1/2 or 1//3, found 'a'"),
    "comma.obj": (b"v 0,5 0 0\n" + TRIANGLE + b"f 1 2 3\n", r"vertex 1 is '0,5 0 0', expected 3 numbers"),
    "short.off": (b"OFF\n4 1 0\n0 0 0\n1 0 0\n3 0 1 2\n", r"announces 4 vertices and 1 faces and holds fewer"),
    "binary.off": (b"OFF BINARY\n\0\0\0\3", r"OFF BINARY files are not read"),
    "corners.off": (f"{ARROW_OFF}9 0 1 2 3\n".encode(), r"face 0 announces 9 corners and has fewer"),
    "quad.stl": (f"solid\n{FACET.replace('endloop', 'vertex 1 1 0 endloop')}endsolid", r"loop 0 has 4 vertices in 16"),
    "open.stl": (f"solid\n{FACET}facet normal 0 0 1\nouter loop\nvertex 0 0 0\n", r"last facet is not closed"),
    "cut.stl": (_stl(3, 2), r"announces 3 triangles, which need 234 bytes, and has 184: cut short"),
    "none.stl": (_stl(0, 2), r"announces 0 triangles, yet 100 bytes follow"),
    "zero.stl": (_stl(0, 0), r"expected triangles, found a file without faces"),
    "index.ply": (PLY.format(extra="", n=4, f=1, name="vertex_index") + SQUARE_PLY + "3 0 1 7\n", r"vertices 0\.\.7"),
    "few.ply": (PLY.format(extra="", n=4, f=2, name="vertex_index") + SQUARE_PLY + "3 0 1 2\n", r"early end-of-file"),
}


def _write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))
    return path


@pytest.mark.parametrize("name", READ)
def test_awkward_file_is_read(tmp_path: Path, name: str) -> None:
    content, area = READ[name]
    assert load_mesh(_write(tmp_path, name, content)).area == pytest.approx(area)


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_is_no_such_surface_is_refused_by_name(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"{name}: .*{message}" if name != "few.ply" else message):
        load_mesh(_write(tmp_path, name, content))


def test_relative_indices_count_from_where_they_stand(tmp_path: Path) -> None:
    mesh = load_mesh(_write(tmp_path, "relative.obj", READ["relative.obj"][0]))
    apart = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [6, 0, 0], [5, 1, 0]], [[0, 1, 2], [3, 4, 5]])
    assert distance(mesh, apart) < 0.1


def test_concave_polygon_leaves_its_notch_empty_in_any_plane(tmp_path: Path) -> None:
    turn = trimesh.transformations.random_rotation_matrix(np.array([0.2, 0.5, 0.9]))[:3, :3]
    corners = (np.c_[ARROW, np.zeros(4)] @ turn.T).round(12)
    text = "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + "f 1 2 3 4\nf 4 3 2 1\nf 2 3 4 1\n"
    mesh = load_mesh(_write(tmp_path, "turned.obj", text))
    assert mesh.area == pytest.approx(18)
    assert distance(mesh, trimesh.Trimesh(corners, [[0, 1, 3], [1, 2, 3]])) < 0.15
    front, back = np.sign(mesh.face_normals @ turn[:, 2])[[0, 2]]  # the winding of each polygon is kept
    assert front == -back


def test_faces_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """The samples of a seed follow the faces, so clouds come out as before."""
    text = "OFF\n5 3 0\n0 0 0\n2 0 0\n2 2 0\n0 2 0\n1 1 0\n4 0 1 2 3\n3 0 1 4\n4 3 2 1 0\n"
    faces = load_mesh(_write(tmp_path, "order.off", text)).faces
    np.testing.assert_array_equal(faces, [[0, 1, 2], [0, 2, 3], [0, 1, 4], [3, 2, 1], [3, 1, 0]])


def test_what_is_left_out_is_noted(tmp_path: Path) -> None:
    mesh = load_mesh(_write(tmp_path, "bad_vt.obj", READ["bad_vt.obj"][0] + b"f 1 2\nmtllib gone.mtl\n"))
    assert mesh.metadata["notes"] == [
        "material file gone.mtl not found: its colours are left out",
        "3 texture coordinates that are no numbers or not in the file: left out",
        "1 faces of fewer than 3 corners: left out",
    ]
