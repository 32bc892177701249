"""Sound files of every kind, which tests/stress/fuzz.py damages."""

import contextlib
import io
import tarfile
from pathlib import Path

import h5py
import numpy as np
import trimesh

from datasets.layouts import CLOUDS, MODELNET40, RENDERS, SHAPENET_PART_FOLDER
from datasets.pairs.pair_tables import PAIRS
from tests.support.light_runs import light
from tests.support.pretraining_runs import train
from tests.support.tiny_trees import cloud, pack, write_all, write_pairs, write_ply
from utils.run.names import BEST_MODEL, STATE_FILE


def write_originals(folder: Path) -> dict[str, list[Path]]:
    """Write data sets in their layouts, other forms of the same, meshes, tables, and what a pre-training leaves."""
    root = write_all(folder / "tree")
    with light(), contextlib.redirect_stdout(io.StringIO()):
        run_dir = train(root, folder / "runs", "--epochs", "1", "--num_points", "32")
    np.save(folder / "cloud.npy", cloud(0))
    np.savetxt(folder / "cloud.xyz", cloud(0))
    mesh = trimesh.creation.icosphere(subdivisions=1)
    meshes = [folder / f"mesh.{suffix}" for suffix in ("off", "obj", "ply", "stl", "glb")]
    for path in meshes:
        mesh.export(path)
    labelled, parts = (root / name / "ply_data_train0.h5" for name in (MODELNET40, SHAPENET_PART_FOLDER))
    return {
        "weights": [run_dir / BEST_MODEL],
        "state": [run_dir / STATE_FILE],
        "ply": [*(root / CLOUDS).rglob("a.ply"), write_ply(folder / "ascii.ply", cloud(1), "ascii")],
        "png": sorted((root / RENDERS).rglob("*.png"))[:2],
        "hdf5 clouds": [labelled, _chunked(labelled, folder / "clouds.h5")],
        "hdf5 parts": [parts, _chunked(parts, folder / "parts.h5")],
        "packed": [pack(root, folder / "packed.h5"), pack(write_pairs(root), folder / "paired.h5")],
        "pairs": sorted(root.rglob(PAIRS))[:2],
        "tar.gz": [_archive(labelled, folder / "set.tar.gz")],
        "table npy": [folder / "cloud.npy"],
        "table txt": [folder / "cloud.xyz"],
    } | {f"mesh {path.suffix[1:]}": [path] for path in meshes}


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
