"""Pre-training items as CrossPoint's published code makes them, rewritten as the baseline of benchmarks.loader.

What takes time there is kept: the folder of views is searched for each item, the PLY file is read once for each
augmentation (an ascii file value by value), and the image goes through torchvision's transforms of Pillow images.

Source: behaviour of the published code of Afham et al. 2022, arXiv:2203.00680.
"""

import math
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms

from datasets.shapes.shape_tree import list_shapes
from datasets.transforms.image_transforms import IMAGENET_MEAN, IMAGENET_STD

_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
_TYPES |= {"float": "f4", "double": "f8", "float32": "f4", "float64": "f8", "uint8": "u1", "int32": "i4"}
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


class PublishedRender(Dataset):
    """Items (aug_a, aug_b, image), drawn from the global generators; arguments as those of ShapeNetRender."""

    def __init__(self, root: Path, image_size: int = 224):
        self.root = Path(root)
        self.shapes = list_shapes(self.root)
        self.image_transform = transforms.Compose(
            [
                transforms.Resize((image_size, image_size)),
                transforms.ColorJitter(0.4, 0.4, 0.4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        shape = self.shapes[index]
        view = random.choice(list(shape.view_folder(self.root).glob("*.png")))
        image = self.image_transform(Image.open(view).convert("RGB"))
        aug_a, aug_b = (augment(read_vertices(shape.cloud_path(self.root))) for _ in range(2))
        return aug_a, aug_b, image


def read_vertices(path: Path) -> np.ndarray:
    """Read (N, 3) float32 vertices, the first element of a PLY file."""
    with open(path, "rb") as stream:
        count, encoding, fields = _read_header(stream)
        dtype = np.dtype([(name, _ORDERS[encoding] + kind) for name, kind in fields])
        vertices = np.fromfile(stream, dtype, count) if encoding != "ascii" else _parse_rows(stream, dtype, count)
    return np.vstack([vertices[axis] for axis in "xyz"]).T.astype(np.float32)


def _read_header(stream) -> tuple[int, str, list[tuple[str, str]]]:
    """Return the number of vertices, the encoding, and name and type of a vertex's values."""
    count, encoding, fields, element = 0, "", [], ""
    for line in iter(stream.readline, b""):
        words = line.decode("ascii").split()
        if words[0] == "format":
            encoding = words[1]
        elif words[0] == "element":
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[0] == "property" and element == "vertex":
            fields.append((words[2], _TYPES[words[1]]))
        elif words[0] == "end_header":
            break
    return count, encoding, fields


def _parse_rows(stream, dtype: np.dtype, count: int) -> np.ndarray:
    """Parse rows of text one value at a time."""
    vertices = np.empty(count, dtype)
    for row in range(count):
        values = iter(stream.readline().decode("ascii").split())
        for name in dtype.names:
            vertices[row][name] = dtype[name].type(next(values))
    return vertices


def augment(points: np.ndarray) -> Tensor:
    """Normalise, scale, rotate about y, translate, jitter and drop points of a cloud (N, 3)."""
    cloud = torch.from_numpy(points)
    cloud = cloud - cloud.mean(dim=0)
    cloud = cloud / cloud.pow(2).sum(dim=1).sqrt().max()
    cloud = cloud * np.random.uniform(0.5, 2.0)  # noqa: NPY002 - the published code draws from the global state
    cloud = cloud @ _rotation_about_y(np.random.uniform(0, 2 * math.pi)).T  # noqa: NPY002
    extent = cloud.max(dim=0).values - cloud.min(dim=0).values
    cloud = cloud + torch.from_numpy(np.random.uniform(-0.5, 0.5, 3)).float() * extent  # noqa: NPY002
    cloud = cloud + torch.empty_like(cloud).normal_(0.0, 0.01).clamp_(-0.05, 0.05)
    ratio = np.random.uniform(0, 0.875)  # noqa: NPY002
    dropped = np.where(np.random.random(len(cloud)) <= ratio)[0]  # noqa: NPY002
    if len(dropped):
        cloud[dropped] = cloud[0].clone()
    return cloud


def _rotation_about_y(angle: float) -> Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
