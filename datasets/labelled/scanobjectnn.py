"""ScanObjectNN: objects segmented from real scans, in the variants of its HDF5 release."""

from pathlib import Path

from datasets.labelled.hdf5_clouds import find_shards, read_class_names
from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labels import SCANOBJECTNN_CLASSES
from datasets.layouts import SCANOBJECTNN_VARIANTS, fix, scanobjectnn_bases

VARIANTS = tuple(SCANOBJECTNN_VARIANTS)


class ScanObjectNN(LabelledClouds):
    """Labelled clouds of one variant.

    obj_bg (objects with their background) and obj_only: 2309 train, 581 test; hardest (PB_T50_RS: background, moved
    by up to half a box, turned and scaled): 11416 train, 2882 test. 15 classes, 2048 points.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        variant: str = "obj_bg",
        num_points: int = 1024,
        normalize: bool = False,
    ) -> None:
        """
        Args:
            root: the folder that holds ScanObjectNN/ (or h5_files/), or the one that holds main_split/.
            split: train or test.
            variant: obj_bg, obj_only or hardest.
            num_points: number of points to read from the start of each cloud, as published.
            normalize: centre each cloud and scale it to the unit sphere; the published protocol does not.
        Raises:
            FileNotFoundError: no file of this variant and split below root.
            ValueError: unknown split or variant, or an invalid file.
        """
        shards = self.find(root, split, variant)
        names = read_class_names([shards[0].parent, shards[0].parent.parent], SCANOBJECTNN_CLASSES)
        super().__init__(shards, names, num_points=num_points, normalize=normalize)

    @staticmethod
    def find(root: str | Path, split: str, variant: str = "obj_bg") -> list[Path]:
        """List the one file of a split without opening it; raises as the constructor does."""
        if variant not in VARIANTS:
            raise ValueError(f"ScanObjectNN has the variants {', '.join(VARIANTS)}, got {variant!r}")
        if split not in ("train", "test"):
            raise ValueError(f"ScanObjectNN has the splits train and test, got {split!r}")
        chosen = SCANOBJECTNN_VARIANTS[variant]
        return find_shards(
            [base / chosen.folder for base in scanobjectnn_bases(Path(root))],
            chosen.files[split],
            what=f"ScanObjectNN {variant} {split} file",
            fix=fix("scanobjectnn"),
        )[:1]
