"""Small scenes in the layouts of ScanNet, S3DIS and SUN RGB-D, written from their definitions by hand."""

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

POINTS = [(0, 0, 0), (2, 0, 0), (2, 1, 0.5), (0, 1, 1.5), (1, 1, 1), (3, 1, 1)]
COLOURS = [(10, 20, 30), (40, 50, 60), (70, 80, 90), (100, 110, 120), (130, 140, 150), (160, 170, 180)]
NYU40 = [1, 5, 5, 39, 40, 22]  # wall, chair, chair, otherfurniture; otherprop and ceiling are no benchmark classes
SEGMENTS = [3, 9, 9, 7, 7, 4]
GROUPS = [(0, "wall", [3]), (1, "office chair", [9]), (2, "some thing", [7])]
QUARTER_TURN = "0 -1 0 5 1 0 0 6 0 0 1 7 0 0 0 1"  # x' = 5 - y, y' = 6 + x, z' = 7 + z


def write_scan(root: Path, name: str, *, labelled: bool = True, folder: str = "scans", scale: float = 1) -> Path:
    """Write a scene of ScanNet of six points; without labels, as one of the test split; in metres / `scale`."""
    scene = root / folder / name
    scene.mkdir(parents=True)
    _write_cloud(scene / f"{name}_vh_clean_2.ply", scale=scale)
    info = "numDepthFrames = 3\r\nsceneType = Office\r\n"
    if labelled:
        _write_cloud(scene / f"{name}_vh_clean_2.labels.ply", NYU40)
        segments = {"sceneId": name, "segIndices": SEGMENTS}
        (scene / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
        groups = [{"id": i, "objectId": i, "segments": segs, "label": label} for i, label, segs in GROUPS]
        (scene / f"{name}.aggregation.json").write_text(json.dumps({"sceneId": name, "segGroups": groups}))
        info = f"axisAlignment = {QUARTER_TURN} \n" + info
    (scene / f"{name}.txt").write_bytes(info.encode())
    return scene


def _write_cloud(path: Path, labels: list[int] | None = None, scale: float = 1) -> None:
    """Write a binary mesh of two triangles as ScanNet has it: RGBA and, in the file of labels, a label."""
    kinds = "".join(f"property float {axis}\n" for axis in "xyz")
    kinds += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue", "alpha"))
    kinds += "property ushort label\n" if labels else ""
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(POINTS)}\n{kinds}"
    head += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    places = np.multiply(POINTS, scale)
    rows = [struct.pack("<fff4B", *point, *colour, 255) for point, colour in zip(places, COLOURS)]
    if labels:
        rows = [row + struct.pack("<H", label) for row, label in zip(rows, labels)]
    faces = struct.pack("<B3i", 3, 0, 1, 2) + struct.pack("<B3i", 3, 0, 2, 3)
    path.write_bytes(head.encode() + b"".join(rows) + faces)


def write_frames(scene: Path) -> None:
    """Write the frames 0, 5 and 10 of a scene; tracking is lost in frame 5. Depth is 4 x 3 pixels, colour 8 x 6."""
    for name in ("color", "depth", "pose", "intrinsic"):
        (scene / name).mkdir()
    for number in (0, 5, 10):
        depth = np.full((3, 4), 2000 + number, dtype=np.uint16)
        depth[0, 1] = 0
        Image.fromarray(depth).save(scene / "depth" / f"{number}.png")
        Image.new("RGB", (8, 6), (200, 100, number)).save(scene / "color" / f"{number}.jpg")
        pose = "1 0 0 1\n0 0 1 2\n0 -1 0 3\n0 0 0 1\n" if number != 5 else "\n".join(["-inf -inf -inf -inf"] * 4)
        (scene / "pose" / f"{number}.txt").write_text(pose)
    for name, focal in (("depth", 2), ("color", 4)):
        matrix = f"{focal} 0 {focal * 0.75} 0\n0 {focal} {focal / 2} 0\n0 0 1 0\n0 0 0 1\n"
        (scene / "intrinsic" / f"intrinsic_{name}.txt").write_text(matrix)


def write_room(root: Path, area: int, name: str, files: dict[str, bytes]) -> Path:
    """Write a room of S3DIS: annotations by file name, and the file of the whole room."""
    room = root / f"Area_{area}" / name
    (room / "Annotations").mkdir(parents=True)
    for file, data in files.items():
        (room / "Annotations" / file).write_bytes(data)
    (room / f"{name}.txt").write_bytes(b"\n".join(files.values()))
    return room


def write_prepared(folder: Path, scene_id: str, num_points: int = 40) -> None:
    """Write a scene of SUN RGB-D: a chair turned by 90 degrees whose box holds the first ten points, and a bed."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (num_points, 3)) * (0.2, 0.4, 0.3) + (0, 3, -1)
    points[10:] += (2, 0, 0)
    cloud = np.concatenate([points, rng.uniform(0, 1, (num_points, 3))], axis=1)
    np.savez_compressed(folder / f"{scene_id}_pc.npz", pc=cloud)
    boxes = np.array([[0, 3, -1, 0.4, 0.2, 0.3, np.pi / 2, 3], [9, 9, 0, 1, 1, 0.5, 0, 0]])
    np.save(folder / f"{scene_id}_bbox.npy", boxes)
    votes = np.zeros((num_points, 10))
    votes[:10, 0] = 1
    votes[:10, 1:] = np.tile((0, 3, -1) - points[:10], 3)
    np.savez_compressed(folder / f"{scene_id}_votes.npz", point_votes=votes)
