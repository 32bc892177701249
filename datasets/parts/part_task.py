"""The task of part segmentation: the parts of all categories of a set, or of a single one."""

from pathlib import Path
from typing import NamedTuple

from datasets.labelled.stratified import stratified_subset
from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import PartTable, category_name, find_category, read_part_table
from datasets.parts.shapenet_part import ShapeNetPart


class PartTask(NamedTuple):
    """A set's table and name, and the category a network is trained on alone, "" for all."""

    table: PartTable = SHAPENET_PART
    dataset: str = "shapenetpart"
    class_choice: str = ""

    @classmethod
    def from_flags(cls, parts: str, class_choice: str) -> "PartTask":
        """Build the task of `--parts FILE` ("": ShapeNetPart) and `--class_choice NAME` ("": all categories).

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file is not a table, or lacks the category.
        """
        task = cls(read_part_table(parts), Path(parts).stem) if parts else cls()
        return task._replace(class_choice=category_name(task.table, class_choice) if class_choice else "")

    @property
    def known(self) -> PartTable:
        """The categories and parts that the network predicts."""
        if not self.class_choice:
            return self.table
        return (self.table[find_category(self.table, self.class_choice)]._replace(first_part=0),)

    def tested_on(self, class_choice: str) -> str:
        """Return the table's name of the category to test on, "" for all.

        Args:
            class_choice: value of `--class_choice`; "" takes the category trained on.
        Raises:
            ValueError: no such category, or not the one trained on.
        """
        chosen = category_name(self.table, class_choice) if class_choice else self.class_choice
        if self.class_choice not in ("", chosen):
            raise ValueError(
                f"--class_choice {chosen}: the network was trained on {self.class_choice} alone; leave the flag out"
            )
        return chosen

    def read(
        self,
        root: str | Path,
        split: str,
        *,
        num_points: int,
        category: str = "",
        label_fraction: float = 1.0,
        seed: int = 0,
    ) -> ShapeNetPart:
        """Read the clouds of a split, labelled for this task.

        Args:
            root, split, num_points: see ShapeNetPart.
            category: keep this category only; "" keeps all of the task.
            label_fraction, seed: share of each category to keep, see `stratified_subset`.
        Raises:
            FileNotFoundError, ValueError: as ShapeNetPart; no cloud of the category; a fraction out of range.
        """
        clouds = ShapeNetPart(root, split, num_points=num_points, table=self.table)
        if self.class_choice:
            clouds = clouds.alone(find_category(self.table, self.class_choice))
        elif category:
            clouds = clouds.of_category(find_category(self.table, category))
        if label_fraction == 1:
            return clouds  # avoids a copy of the whole set
        return clouds.subset(stratified_subset(clouds.categories, label_fraction, seed))
