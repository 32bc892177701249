"""Reading of the triangles of glTF 2.0 files (.glb, .gltf) as the Khronos specification describes them."""

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from datasets.meshes.gltf_accessors import MESHOPT_SUFFIX, GltfArrays, Json, meshopt_remedy, normalise
from datasets.meshes.ply_file import unroll_strips
from datasets.meshes.surface import Look, Part, Surface, check_indices
from datasets.shapes.views import decode_picture, opaque_colours

DRACO, INSTANCING = "KHR_draco_mesh_compression", "EXT_mesh_gpu_instancing"
_TRANSFORM, _GLOSSINESS = "KHR_texture_transform", "KHR_materials_pbrSpecularGlossiness"
_WRAPS = {33071: "clamp", 33648: "mirror"}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6  # modes; points and lines have no surface
# extensions that change neither shape nor base colour, or that are read below
_READ = {INSTANCING, _TRANSFORM, "KHR_mesh_quantization", "KHR_lights_punctual", "KHR_xmp_json_ld", "EXT_texture_webp"}
_READ_PREFIX = "KHR_materials_"


def read_gltf(path: Path) -> Surface:
    """Read the triangles of a glTF file's scene, with the base colours and textures of their materials.

    Nodes, instances, skins in the pose of the file, morph targets at their default weights, sparse and normalised
    accessors, strips and fans are resolved. Draco is decoded where the package DracoPy is installed.

    Raises:
        ValueError: not glTF 2.0, damaged, or it requires an extension that is not read.
    """
    arrays = GltfArrays(path)
    _check_extensions(arrays)
    reader = _Reader(arrays)
    try:
        parts = [part for node, world in _visible_nodes(arrays) for part in reader.parts_of(node, world)]
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: damaged glTF ({type(error).__name__}: {error}): export it again") from error
    if not parts:
        raise ValueError(f"{path}: {_why_empty(arrays)}")
    return Surface(parts, reader.notes)


def _why_empty(arrays: GltfArrays) -> str:
    """Say why no triangle of a file is part of its scene."""
    nodes, count = arrays.items("nodes"), len(arrays.items("meshes"))
    shown = {nodes[number]["mesh"] for number, _ in _visible_nodes(arrays) if "mesh" in nodes[number]}
    if shown:
        return "expected triangles, the meshes of its scene hold none (points and lines have no surface)"
    if not count:
        return "holds no mesh"
    place = "no node of its scene" if arrays.items("scenes") else "no node"
    found = f"{place} refers to its meshes ({count}), which are therefore not part of the shape"
    return f"{found}: add a node for each in the program that wrote it"


def _check_extensions(arrays: GltfArrays) -> None:
    required = arrays.json.get("extensionsRequired", [])
    unread = [name for name in required if name not in _READ | {DRACO} and not name.startswith(_READ_PREFIX)]
    if meshopt := [name for name in unread if name.endswith(MESHOPT_SUFFIX)]:
        raise ValueError(f"{arrays.path}: requires {meshopt_remedy(meshopt[0], arrays.path)}")
    if unread:
        raise ValueError(f"{arrays.path}: requires {', '.join(unread)}, which is not read: export it again without")
    if DRACO in required:
        _import_draco(arrays.path)


def _import_draco(path: Path) -> ModuleType:
    try:
        import DracoPy
    except ImportError as error:
        raise ValueError(f"{path}: requires {DRACO}; run: pip install DracoPy, or export it uncompressed") from error
    return DracoPy


def _visible_nodes(arrays: GltfArrays, *, all_roots: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each node of the scene with its matrix to the world, (4, 4); of all roots where the file has no scene."""
    nodes, scenes = arrays.items("nodes"), arrays.items("scenes")
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [number for number in range(len(nodes)) if number not in children]
    if scenes and not all_roots:
        roots = scenes[arrays.json.get("scene", 0)].get("nodes", [])
    waiting = [(number, np.eye(4)) for number in reversed(roots)]
    seen = set()
    while waiting:
        number, parent = waiting.pop()
        if number in seen:
            raise ValueError(f"{arrays.path}: node {number} stands in its tree twice: damaged, export it again")
        seen.add(number)
        world = parent @ _local_matrix(nodes[number])
        yield number, world
        waiting += [(child, world) for child in reversed(nodes[number].get("children", []))]


def _local_matrix(node: Json) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    translation, rotation = node.get("translation", (0, 0, 0)), node.get("rotation", (0, 0, 0, 1))
    return _compose(*(np.array([value]) for value in (translation, rotation, node.get("scale", (1, 1, 1)))))[0]


def _compose(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Build matrices from moves (N, 3), quaternions x y z w (N, 4) and scales (N, 3). Shape: -> (N, 4, 4)."""
    x, y, z, w = (rotation / np.linalg.norm(rotation, axis=1, keepdims=True)).astype(np.float64).T
    matrices = np.tile(np.eye(4), (len(x), 1, 1))
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrices[:, :3, :3] = np.moveaxis(np.array(rows), 2, 0) * scale[:, None, :]
    matrices[:, :3, 3] = translation
    return matrices


class _Reader:
    """Builds the parts of nodes and collects notes on textures that cannot be used."""

    def __init__(self, arrays: GltfArrays) -> None:
        self.arrays = arrays
        self.notes: list[str] = []
        self._textures: dict[int, Image.Image | None] = {}

    @cached_property
    def _worlds(self) -> dict[int, np.ndarray]:
        """Matrices to the world of all nodes, also of those outside the scene, which may be joints."""
        return dict(_visible_nodes(self.arrays, all_roots=True))

    def parts_of(self, number: int, world: np.ndarray) -> Iterator[Part]:
        """Yield the parts of a node's mesh in world coordinates, none if it has no mesh."""
        node = self.arrays.items("nodes")[number]
        if "mesh" not in node:
            return
        mesh = self.arrays.items("meshes")[node["mesh"]]
        places = world @ self._instances(node)  # (I, 4, 4)
        for primitive in mesh["primitives"]:
            if primitive.get("mode", _TRIANGLES) not in (_TRIANGLES, _STRIP, _FAN):
                continue
            attributes, faces = self._geometry(primitive)
            points = attributes["POSITION"].astype(np.float64)
            for weight, target in zip(node.get("weights", mesh.get("weights", [])), primitive.get("targets", [])):
                if weight and "POSITION" in target:
                    points = points + weight * self.arrays.array(target["POSITION"])
            check_indices(faces, len(points), self.arrays.path)
            look = self._look(primitive, attributes)
            skin = self.arrays.items("skins")[node["skin"]] if "skin" in node and "JOINTS_0" in attributes else None
            matrices = self._skinned(skin, attributes)[None] if skin else places[:, None]  # (I, 1 or V, 4, 4)
            for matrix in matrices:
                moved = np.einsum("vij,vj->vi", np.broadcast_to(matrix[:, :3, :3], (len(points), 3, 3)), points)
                yield Part(moved + matrix[:, :3, 3], faces, look)

    def _instances(self, node: Json) -> np.ndarray:
        """Return the matrices (I, 4, 4) of a node's instances; one identity if it is not instanced."""
        names = node.get("extensions", {}).get(INSTANCING, {}).get("attributes", {})
        given = {name: normalise(self.arrays.array(index)) for name, index in names.items()}
        if not given:
            return np.eye(4)[None]
        count = len(next(iter(given.values())))
        resting = {"TRANSLATION": (0, 0, 0), "ROTATION": (0, 0, 0, 1), "SCALE": (1, 1, 1)}
        return _compose(*(given.get(name, np.tile(value, (count, 1))) for name, value in resting.items()))

    def _geometry(self, primitive: Json) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the attributes (V, ...) and the triangles (F, 3) of a primitive."""
        draco = primitive.get("extensions", {}).get(DRACO)
        names = primitive["attributes"]
        if draco is not None and "bufferView" not in self.arrays.items("accessors")[names["POSITION"]]:
            return self._decode_draco(draco, names)
        attributes = {name: self.arrays.array(index) for name, index in names.items()}
        indices = np.arange(len(attributes["POSITION"]))
        if "indices" in primitive:
            indices = self.arrays.array(primitive["indices"]).astype(np.int64)
        mode = primitive.get("mode", _TRIANGLES)
        if mode == _STRIP:
            return attributes, unroll_strips(indices)
        if mode == _FAN:
            faces = np.stack([np.full(max(len(indices) - 2, 0), indices[0]), indices[1:-1], indices[2:]], axis=1)
            return attributes, faces
        if len(indices) % 3:
            raise ValueError(f"{self.arrays.path}: a list of triangles has {len(indices)} corners: damaged")
        return attributes, indices.reshape(-1, 3)

    def _decode_draco(self, draco: Json, names: Json) -> tuple[dict[str, np.ndarray], np.ndarray]:
        package = _import_draco(self.arrays.path)
        try:
            decoded = package.decode(self.arrays.view(draco["bufferView"]))
        except Exception as error:  # damaged bytes raise types of its own
            raise ValueError(f"{self.arrays.path}: its {DRACO} cannot be decoded: {error}") from error
        attributes = {}
        for name, unique_id in draco["attributes"].items():
            values = np.asarray(decoded.get_attribute_by_unique_id(unique_id)["data"])
            is_normalised = self.arrays.items("accessors")[names[name]].get("normalized", False)
            attributes[name] = normalise(values) if is_normalised else values
        attributes |= {name: self.arrays.array(index) for name, index in names.items() if name not in attributes}
        return attributes, np.asarray(decoded.faces, dtype=np.int64).reshape(-1, 3)

    def _skinned(self, skin: Json, attributes: dict[str, np.ndarray]) -> np.ndarray:
        """Blend the matrices of a skin's joints, (V, 4, 4); the transform of the skinned node itself does not count."""
        joints = np.stack([self._worlds[joint] for joint in skin["joints"]])
        if "inverseBindMatrices" in skin:
            inverse = self.arrays.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
            joints = joints @ inverse[: len(joints)]
        blended, total = 0, 0
        for set_number in range(sum(name.startswith("JOINTS_") for name in attributes)):
            weights = normalise(attributes[f"WEIGHTS_{set_number}"]).astype(np.float64)
            blended = blended + np.einsum("vk,vkij->vij", weights, joints[attributes[f"JOINTS_{set_number}"]])
            total = total + weights.sum(axis=1)
        return blended / np.maximum(total, 1e-12)[:, None, None]

    def _look(self, primitive: Json, attributes: dict[str, np.ndarray]) -> Look:
        """Multiply out nothing: collect vertex colours, base colour and texture, which multiply each other."""
        material = self.arrays.items("materials")[primitive["material"]] if "material" in primitive else {}
        base = material.get("pbrMetallicRoughness", {})
        factor, texture = base.get("baseColorFactor"), base.get("baseColorTexture")
        glossiness = material.get("extensions", {}).get(_GLOSSINESS)
        if glossiness is not None and not base:
            factor, texture = glossiness.get("diffuseFactor"), glossiness.get("diffuseTexture")
        colour = None if factor is None else 255 * np.clip(factor[:3], 0, 1).astype(np.float32)
        vertex_colours = attributes.get("COLOR_0")
        if vertex_colours is not None:
            vertex_colours = 255 * np.clip(normalise(vertex_colours)[:, :3], 0, 1).astype(np.float32)
        image = None if texture is None else self._image(texture["index"])
        if image is None:
            return Look(colour, vertex_colours=vertex_colours)
        transform = texture.get("extensions", {}).get(_TRANSFORM, {})
        name = f"TEXCOORD_{transform.get('texCoord', texture.get('texCoord', 0))}"
        if name not in attributes:
            self._note(f"a texture is left out: its primitive has no {name}")
            return Look(colour, vertex_colours=vertex_colours)
        uv = _transformed(attributes[name].astype(np.float64), transform)
        uv[:, 1] = 1 - uv[:, 1]  # glTF's v points down
        sampler = self.arrays.items("textures")[texture["index"]].get("sampler")
        modes = {} if sampler is None else self.arrays.items("samplers")[sampler]
        wraps = tuple(_WRAPS.get(modes.get(name), "repeat") for name in ("wrapS", "wrapT"))
        return Look(colour, vertex_colours=vertex_colours, uv=uv, texture=image, wraps=wraps)

    def _image(self, index: int) -> Image.Image | None:
        """Decode the image of a texture, or note why it is left out."""
        if index not in self._textures:
            texture = self.arrays.items("textures")[index]
            source = texture.get("extensions", {}).get("EXT_texture_webp", texture).get("source")
            self._textures[index] = None
            if source is None:
                self._note(f"texture {index} is left out: its image is of a kind that is not read")
                return None
            image = self.arrays.items("images")[source]
            try:
                data = self.arrays.resource(image["uri"]) if "uri" in image else self.arrays.view(image["bufferView"])
                self._textures[index] = opaque_colours(decode_picture(io.BytesIO(data), "its image"))
            except ValueError as error:
                self._note(f"texture {index} is left out: {error}")
        return self._textures[index]

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _transformed(uv: np.ndarray, transform: Json) -> np.ndarray:
    """Scale, turn and move texture coordinates (V, 2) as KHR_texture_transform says."""
    angle = transform.get("rotation", 0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (uv * transform.get("scale", (1, 1))) @ turn.T + transform.get("offset", (0, 0))
