"""The folder of a labelling: views that were rendered once, the newest labels, and all earlier rounds."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from datasets.layouts import CLOUDS, RENDERS
from datasets.shapes.mesh_files import MeshFile
from datasets.shapes.shape_folder import ShapeFile, list_shape_files

RESULTS = ("labels.html", "sheet.png", "labels.csv")  # the last is moved last: it says that a round is there


class LabelFolder(NamedTuple):
    """Names of the files below the folder of --out."""

    path: Path

    @property
    def rendered(self) -> Path:
        """Clouds and views of the meshes, as data.render_views writes them."""
        return self.path / "rendered"

    @property
    def csv(self) -> Path:
        """Labels of the last finished round."""
        return self.path / "labels.csv"

    @property
    def trainings(self) -> Path:
        """Folder of the runs of self-training, by round."""
        return self.path / "training"

    @property
    def round(self) -> int:
        """Number of the round that is not finished yet, from 1."""
        kept = [int(path.name) for path in (self.path / "rounds").glob("*") if path.name.isdecimal()]
        return max(kept, default=0) + self.csv.is_file() + 1

    def keep_earlier(self) -> Path | None:
        """Move the results of the last finished round into a folder of their own; return it, None if there is none."""
        if not self.csv.is_file():
            return None
        kept = self.path / "rounds" / str(self.round - 1)
        kept.mkdir(parents=True, exist_ok=True)
        for name in RESULTS:
            if (self.path / name).is_file():
                os.replace(self.path / name, kept / name)
        return kept

    def find_rendered(self, meshes: list[MeshFile]) -> dict[int, ShapeFile]:
        """Find the shapes of meshes: number of the mesh -> shape, of those that are rendered, in order."""
        if not (self.rendered / CLOUDS).is_dir():
            return {}
        shapes = {shape.name: shape for shape in list_shape_files(self.rendered)}
        names = (f"{mesh.synset}/{mesh.shape_id}" for mesh in meshes)
        return {number: shapes[name] for number, name in enumerate(names) if name in shapes}

    def drop_outdated(self, meshes: list[MeshFile]) -> None:
        """Delete cloud and views of each mesh that has been written after them: they will be rendered again."""
        for number, shape in self.find_rendered(meshes).items():
            if meshes[number].path.stat().st_mtime_ns > shape.path.stat().st_mtime_ns:
                shape.path.unlink()
                shutil.rmtree(self.rendered / RENDERS / shape.name)
