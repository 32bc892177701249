"""ModelNet40, or any set in its layout: HDF5 shards of labelled clouds."""

from pathlib import Path

from datasets.labelled.hdf5_clouds import find_shards, open_shard, read_class_names
from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labels import MODELNET40_CLASSES, SHAPENET_PART
from datasets.layouts import fix, modelnet40_folders


class ModelNet40(LabelledClouds):
    """Labelled clouds of `ply_data_{split}*.h5` (published set: 9840 train, 2468 test, 40 classes, 2048 points).

    Other sets in this layout name their classes in `shape_names.txt` beside the shards; one with part labels (`pid`)
    and without that file has the 16 classes of ShapeNetPart.
    """

    def __init__(self, root: str | Path, split: str, *, num_points: int = 1024, normalize: bool = False) -> None:
        """
        Args:
            root: the folder with the shards, or its parent.
            split: train or test.
            num_points: number of points to read from the start of each cloud, as published.
            normalize: centre each cloud and scale it to the unit sphere (the published set already is).
        Raises:
            FileNotFoundError: no shard of this split below root.
            ValueError: unknown split, an invalid shard, or several sets below root.
        """
        shards = self.find(root, split)
        with open_shard(shards[0], ()) as file:
            usual = tuple(category.name for category in SHAPENET_PART) if "pid" in file else MODELNET40_CLASSES
        names = read_class_names([shards[0].parent], usual)
        super().__init__(shards, names, num_points=num_points, normalize=normalize)

    @staticmethod
    def find(root: str | Path, split: str) -> list[Path]:
        """List the shards of a split without opening them; raises as the constructor does."""
        if split not in ("train", "test"):
            raise ValueError(f"ModelNet40 has the splits train and test, got {split!r}")
        return find_shards(
            modelnet40_folders(Path(root)),
            [f"ply_data_{split}*.h5"],
            what=f"ModelNet40 {split} shards",
            fix=fix("modelnet40"),
        )
