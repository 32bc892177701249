"""Sound files of every kind, which tests/stress/fuzz.py damages."""

import contextlib
import io
import tarfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import torch
import trimesh

from data import make_shapes, pack
from datasets.layouts import CLOUDS, MODELNET40, RENDERS, SHAPENET_PART_FOLDER
from models.encoders.registry import build_encoder
from models.weights.published import export_state
from utils.run.state import rng_state, save_atomically

_TINY = ("--shapes_per_class", "1", "--train_per_class", "1", "--val_per_class", "1", "--test_per_class", "1")


def write_checkpoints(folder: Path) -> dict[str, list[Path]]:
    """Write a weight file and a training state of the smallest encoder."""
    torch.manual_seed(0)
    encoder = build_encoder("pointnet")
    optimizer = torch.optim.Adam(encoder.parameters())
    encoder(torch.randn(2, 32, 3)).square().mean().backward()
    optimizer.step()
    weights, state = folder / "weights.pth", folder / "state.pt"
    save_atomically(export_state(encoder, "pointnet", k=15), weights)
    networks = {"method": OrderedDict(encoder.state_dict()), "optimizer": optimizer.state_dict(), "rng": rng_state()}
    plain = {"schedule": {"last_epoch": 3}, "scaler": {}, "progress": {"epoch": 3, "step": 1}, "best": 0.5}
    plain |= {"seconds": 1.0, "bad_samples": {}}
    save_atomically(networks | plain | {"config": {"model": "pointnet", "k": 15}}, state)
    return {"weights": [weights], "state": [state]}


def write_inputs(folder: Path) -> dict[str, list[Path]]:
    """Write data sets by the project's own programs, other layouts of the same, meshes and tables."""
    root = folder / "shapes"
    shapes = ["--out", str(root), *_TINY, "--views", "2", "--size", "32", "--workers", "1"]
    packed = [str(root), "--out", str(folder / "packed.h5"), "--workers", "1"]
    with contextlib.redirect_stdout(io.StringIO()):
        make_shapes.main(make_shapes.parse_args(shapes))
        pack.main(pack.parse_args(packed))
    clouds = sorted((root / CLOUDS).rglob("*.ply"))[:2]
    points = np.asarray(trimesh.load(clouds[0]).vertices)[:64]
    ascii_ply = folder / "ascii.ply"
    ascii_ply.write_bytes(trimesh.PointCloud(points).export(file_type="ply", encoding="ascii"))
    np.save(folder / "cloud.npy", points.astype(np.float32))
    np.savetxt(folder / "cloud.xyz", points)
    labelled, parts = (root / name / "ply_data_train0.h5" for name in (MODELNET40, SHAPENET_PART_FOLDER))
    return {
        "ply": [clouds[0], ascii_ply],
        "png": sorted((root / RENDERS).rglob("*.png"))[:2],
        "hdf5 clouds": [labelled, _chunked(labelled, folder / "clouds.h5")],
        "hdf5 parts": [parts, _chunked(parts, folder / "parts.h5")],
        "packed": [folder / "packed.h5"],
        "tar.gz": [_archive(labelled, folder / "set.tar.gz")],
        "table npy": [folder / "cloud.npy"],
        "table txt": [folder / "cloud.xyz"],
    } | {f"mesh {suffix}": [_mesh(folder / f"mesh.{suffix}")] for suffix in ("off", "obj", "ply", "stl", "glb")}


def _chunked(shard: Path, out: Path) -> Path:
    """Compress the same arrays in chunks, as the published shards are."""
    with h5py.File(shard) as source, h5py.File(out, "w") as copy:
        for name in source:
            copy.create_dataset(name, data=source[name][:], chunks=True, compression="gzip", compression_opts=1)
    return out


def _archive(shard: Path, out: Path) -> Path:
    with tarfile.open(out, "w:gz") as tar:
        tar.add(shard, arcname=f"set/{shard.name}")
        tar.add(Path(__file__), arcname="set/readme.txt")
    return out


def _mesh(path: Path) -> Path:
    trimesh.creation.icosphere(subdivisions=1).export(path)
    return path
