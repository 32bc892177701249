"""Pre-training pairs from one packed file: the items of the trees, read faster."""

from pathlib import Path

import numpy as np

from datasets.pairs.packed_file import PackedFile
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.pairs.render_pairs import RenderPairs


class PackedRender(RenderPairs):
    """Items of RenderPairs for all shapes of a packed file.

    They equal those of ShapeNetRender on the packed trees, bit for bit.
    """

    def __init__(self, path: str | Path, **options) -> None:
        """
        Args, beside those of RenderPairs:
            path: the packed file.
        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged or of another kind, or an argument is invalid.
        """
        self.file = PackedFile(path)
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.file)

    def name(self, index: int) -> str:
        return self.file.name(index)

    def files(self, index: int) -> str:
        return f"{self.file.name(index)} in {self.file.path}"

    def cloud_name(self, index: int) -> str:
        return self.files(index)

    def view_file(self, index: int, view: int) -> str:
        return f"view {self.file.view_name(index, view)} of {self.files(index)}"

    def num_views(self, index: int) -> int:
        return self.file.num_views(index)

    def read_points(self, index: int) -> np.ndarray:
        return self.file.read_points(index)

    def read_stored(self, index: int, view: int) -> np.ndarray:
        return self.file.read_view(index, view)

    def read_pixel_pairs(self, index: int) -> PixelPairs:
        return self.file.read_pairs(index)

    def find_view_size(self) -> tuple[int, int] | None:
        sizes = self.file.view_sizes
        return sizes[0] if len(sizes) == 1 else None

    def stamp(self, index: int, num_views: int) -> str:
        views = b"".join(self.file.view_checksum(index, view) for view in range(num_views))
        return f"{index} of {self.file.provenance['index_crc32']} {views.hex()}\n"  # the index knows only their lengths
