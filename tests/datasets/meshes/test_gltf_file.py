"""datasets.meshes.gltf_file: surfaces and looks of glTF 2.0 files, and what is refused by name."""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from datasets.meshes.surface import LOOKS
from datasets.shapes.meshes import load_mesh
from tests.support.surfaces import CORNERS, SQUARE, distance, glb, primitive

UV = CORNERS[:, :2].copy()
INSTANCES = "EXT_mesh_gpu_instancing"


def _load(folder: Path, *args: Any, **options: Any) -> trimesh.Trimesh:
    path = folder / "file.glb"
    path.write_bytes(glb(*args, **options))
    return load_mesh(path)


def _square(x: float = 0, side: float = 1) -> trimesh.Trimesh:
    return trimesh.Trimesh(side * CORNERS + [x, 0, 0], SQUARE.reshape(-1, 3), process=False)


def test_normalised_positions_are_fractions_of_their_type(tmp_path: Path) -> None:
    stored = (CORNERS * 32767).astype("i2")
    padded = np.c_[stored, np.zeros(4, "i2")]  # rows of 8 bytes
    accessors = {0: {"type": "VEC3", "normalized": True}}
    content = {"meshes": primitive(), "nodes": [{"mesh": 0, "scale": [2, 2, 2], "translation": [3, 0, 0]}]}
    data = glb([padded, SQUARE], content, accessors).replace(b'"byteLength": 32}', b'"byteLength": 32,"byteStride":8}')
    path = tmp_path / "quantised.glb"
    path.write_bytes(_resized(data))
    assert distance(load_mesh(path), _square(3, 2)) < 0.15


def _resized(data: bytes) -> bytes:
    """Correct the lengths of a GLB file whose JSON was edited."""
    end = data.index(b"BIN\0") - 4
    text = data[20:end] + b" " * (-(end - 20) % 4)
    binary = data[end:]
    return b"glTF" + np.array([2, 20 + len(text) + len(binary), len(text)], "<u4").tobytes() + b"JSON" + text + binary


@pytest.mark.parametrize("mode, indices", [(5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (4, [0, 1, 2, 0, 2, 3])])
def test_strips_and_fans_are_triangles(tmp_path: Path, mode: int, indices: list[int]) -> None:
    mesh = _load(tmp_path, [CORNERS, np.array(indices, "u1")], {"meshes": primitive(mode=mode)})
    assert mesh.area == pytest.approx(1)
    np.testing.assert_allclose(mesh.face_normals, [[0, 0, 1]] * 2)


def test_sparse_accessor_replaces_some_rows(tmp_path: Path) -> None:
    sparse = {"count": 1, "indices": {"bufferView": 2, "componentType": 5121}, "values": {"bufferView": 3}}
    arrays = [CORNERS, SQUARE, np.array([2], "u1"), np.array([[3, 3, 0]], "f4")]
    assert _load(tmp_path, arrays, {"meshes": primitive()}, {0: {"sparse": sparse}}).area == pytest.approx(3)


def test_instances_stand_at_their_places(tmp_path: Path) -> None:
    quarter = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]
    arrays = [CORNERS, SQUARE, np.array([[0, 0, 0], [9, 0, 0]], "f4"), np.array([[0, 0, 0, 1], quarter], "f4")]
    node = {"mesh": 0, "extensions": {INSTANCES: {"attributes": {"TRANSLATION": 2, "ROTATION": 3}}}}
    mesh = _load(tmp_path, arrays, {"meshes": primitive(), "nodes": [node], "extensionsRequired": [INSTANCES]})
    np.testing.assert_allclose(mesh.bounds, [[0, 0, 0], [9, 1, 0]], atol=1e-6)
    assert mesh.area == pytest.approx(2)


def test_skinned_mesh_follows_its_joints_and_not_its_node(tmp_path: Path) -> None:
    arrays = [CORNERS, SQUARE, np.zeros((4, 4), "u1"), np.array([[1, 0, 0, 0]] * 4, "f4")]
    meshes = primitive(attributes={"POSITION": 0, "JOINTS_0": 2, "WEIGHTS_0": 3})
    nodes = [{"mesh": 0, "skin": 0, "translation": [100, 0, 0]}, {"translation": [0, 7, 0]}]
    content = {"meshes": meshes, "nodes": nodes, "skins": [{"joints": [1]}], "scenes": [{"nodes": [0, 1]}]}
    np.testing.assert_allclose(_load(tmp_path, arrays, content).bounds, [[0, 7, 0], [1, 8, 0]])


def test_morph_targets_move_by_their_default_weights(tmp_path: Path) -> None:
    meshes = primitive(targets=[{"POSITION": 2}])
    meshes[0]["weights"] = [0.5]
    mesh = _load(tmp_path, [CORNERS, SQUARE, np.full((4, 3), 4, "f4")], {"meshes": meshes})
    np.testing.assert_allclose(mesh.bounds, [[2, 2, 2], [3, 3, 2]])


@pytest.mark.parametrize("scenes", [[], [{"nodes": [0]}]])
def test_meshes_below_other_nodes_are_found_with_and_without_scenes(tmp_path: Path, scenes: list[Any]) -> None:
    nodes = [{"camera": 0, "translation": [5, 0, 0], "children": [1]}, {"mesh": 0}]
    mesh = _load(tmp_path, [CORNERS, SQUARE], {"meshes": primitive(), "nodes": nodes, "scenes": scenes})
    np.testing.assert_allclose(mesh.bounds[:, 0], [5, 6])


def test_gltf_reads_buffers_beside_it_and_inside_it_and_no_others(tmp_path: Path) -> None:
    binary = CORNERS.tobytes() + SQUARE.tobytes()
    (tmp_path / "a b.bin").write_bytes(binary)
    data = glb([CORNERS, SQUARE], {"meshes": primitive()})
    content = json.loads(data[20 : data.index(b"BIN\0") - 4])
    path = tmp_path / "file.gltf"
    for uri in ("a%20b.bin", "data:application/octet-stream;base64," + base64.b64encode(binary).decode()):
        content["buffers"][0]["uri"] = uri
        path.write_text(json.dumps(content))
        assert load_mesh(path).area == pytest.approx(1)
    for uri, message in (("../x.bin", "only files in its folder"), ("gone.bin", "which is not there")):
        content["buffers"][0]["uri"] = uri
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            load_mesh(path)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_vertex_colours_of_any_type_multiply_the_material(tmp_path: Path, dtype: str) -> None:
    largest = 1 if dtype == "f4" else np.iinfo(dtype).max
    orange = (np.array([[1, 0.5, 0, 1]] * 4) * largest).astype(dtype)
    meshes = primitive(attributes={"POSITION": 0, "COLOR_0": 2}, material=0)
    content = {"meshes": meshes, "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 1, 1]}}]}
    ((_, look),) = _load(tmp_path, [CORNERS, SQUARE, orange], content, {2: {"normalized": True}}).metadata[LOOKS]
    np.testing.assert_allclose(look.vertex_colours[0], [255, 127.5, 0], atol=0.6)
    np.testing.assert_allclose(look.colour, [127.5, 255, 255])


def _textured(transform: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    texture = {"index": 0, "extensions": {"KHR_texture_transform": transform}}
    return {
        "meshes": primitive(attributes={"POSITION": 0, "TEXCOORD_0": 2}, material=0),
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": texture}}],
        "textures": [{"source": 0}],
        "images": [image],
    }


def test_texture_coordinates_are_scaled_turned_and_moved(tmp_path: Path) -> None:
    """A positive angle turns counter-clockwise as seen in the image, whose v points down."""
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(stream, "PNG")
    image = {"uri": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()}
    transform = {"offset": [0.25, 0], "rotation": np.pi / 2, "scale": [2, 1]}
    ((_, look),) = _load(tmp_path, [CORNERS, SQUARE, UV], _textured(transform, image)).metadata[LOOKS]
    assert look.texture.getpixel((0, 0)) == (255, 0, 0)
    np.testing.assert_allclose(look.uv[1], [0.25, 1 + 2], atol=1e-6)  # (1, 0) -> (2, 0) -> (0, -2) -> (0.25, -2)


@pytest.mark.parametrize("mode, how", [(10497, "repeat"), (33071, "clamp"), (33648, "mirror")])
def test_textures_wrap_as_their_sampler_says_and_are_opaque(tmp_path: Path, mode: int, how: str) -> None:
    stream = io.BytesIO()
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(stream, "PNG")
    image = {"uri": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()}
    content = _textured({}, image) | {"textures": [{"source": 0, "sampler": 0}], "samplers": [{"wrapS": mode}]}
    ((_, look),) = _load(tmp_path, [CORNERS, SQUARE, UV], content).metadata[LOOKS]
    assert look.texture.getpixel((0, 0)) == (255, 0, 0)
    assert look.wraps == (how, "repeat")


def test_texture_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    mesh = _load(tmp_path, [CORNERS, SQUARE, UV], _textured({}, {"uri": "gone.png"}))
    assert mesh.metadata["notes"] == [
        f"texture 0 is left out: {tmp_path}/file.glb: names gone.png, which is not there: copy it beside the file"
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        ({"extensionsRequired": ["MSFT_lod"]}, "requires MSFT_lod, which is not read: export it again without"),
        (
            {"extensionsRequired": ["KHR_meshopt_compression"]},
            r"requires KHR_meshopt_compression, which no package used here reads; write a copy without it "
            r"\(gltfpack 0\.21 or later\): npx gltfpack -i .*/file\.glb -o .*/file_plain\.glb$",
        ),
        (
            {"nodes": [{}, {"mesh": 0}]},
            r"file\.glb: no node of its scene refers to its meshes \(1\), which are therefore not part of the shape",
        ),
        ({"nodes": [], "scenes": []}, r"glb: no node refers to its meshes \(1\)"),
        ({"meshes": [], "nodes": [{}]}, "file.glb: holds no mesh"),
        ({"meshes": primitive(mode=0)}, r"the meshes of its scene hold none \(points and lines have no surface\)"),
        ({"asset": {"version": "1.0"}}, "is glTF 1.0, expected glTF 2.0"),
        ({"nodes": [{"mesh": 0, "children": [0]}]}, "node 0 stands in its tree twice"),
        ({"nodes": [{"mesh": 5}]}, "damaged glTF"),
    ],
)
def test_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _load(tmp_path, [CORNERS, SQUARE], {"meshes": primitive(), **content})


def test_draco_is_refused_before_decoding_where_its_package_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(ValueError, match="requires KHR_draco_mesh_compression; run: pip install DracoPy"):
        _load(tmp_path, [], {"extensionsRequired": ["KHR_draco_mesh_compression"]})


def test_draco_is_decoded_where_its_package_is_installed(tmp_path: Path) -> None:
    draco = pytest.importorskip("DracoPy")
    encoded = np.frombuffer(draco.encode(CORNERS, SQUARE.reshape(-1, 3).astype("u4")), "u1")
    extension = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    meshes = primitive(attributes={"POSITION": 1}, extensions=extension)
    content: dict[str, Any] = {"meshes": meshes, "extensionsRequired": [*extension]}
    content["accessors"] = [{}, {"componentType": 5126, "count": 4, "type": "VEC3"}]
    assert distance(_load(tmp_path, [encoded], content), _square()) < 0.1
