"""Which parts a network is to tell apart: of all categories of a set, or of one of them alone."""

from pathlib import Path
from typing import NamedTuple

from datasets.labelled.stratified import stratified_subset
from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import PartTable, category_name, find_category, read_part_table
from datasets.parts.shapenet_part import ShapeNetPart


class PartTask(NamedTuple):
    """The categories of a set, its name and, where a network is trained on that one alone, the chosen category."""

    table: PartTable = SHAPENET_PART
    dataset: str = "shapenetpart"
    class_choice: str = ""

    @classmethod
    def from_flags(cls, parts: str, class_choice: str) -> "PartTask":
        """The task of `--parts FILE` ("": ShapeNetPart) and `--class_choice NAME` ("": all categories).

        Raises:
            FileNotFoundError: no such file.
            ValueError: no such table, or no such category in it.
        """
        task = cls(read_part_table(parts), Path(parts).stem) if parts else cls()
        return task._replace(class_choice=category_name(task.table, class_choice) if class_choice else "")

    @property
    def known(self) -> PartTable:
        """The categories and parts the network knows of."""
        if not self.class_choice:
            return self.table
        return (self.table[find_category(self.table, self.class_choice)]._replace(first_part=0),)

    def tested_on(self, class_choice: str) -> str:
        """The one category to test on, by the table's name; "" for all.

        Args:
            class_choice: of `--class_choice`; "" takes the category trained on.
        Raises:
            ValueError: no such category, or another than the one trained on.
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
        """The clouds of a split as this task has them.

        Args:
            root, split, num_points: see ShapeNetPart.
            category: leaves out all others; "" takes all that the task has.
            label_fraction, seed: share of each category, see datasets.labelled.stratified.
        Raises:
            FileNotFoundError, ValueError: as ShapeNetPart; no cloud of the category; a fraction out of range.
        """
        clouds = ShapeNetPart(root, split, num_points=num_points, table=self.table)
        if self.class_choice:
            clouds = clouds.alone(find_category(self.table, self.class_choice))
        elif category:
            clouds = clouds.of_category(find_category(self.table, category))
        if label_fraction == 1:
            return clouds  # no copy of the whole set
        return clouds.subset(stratified_subset(clouds.categories, label_fraction, seed))
