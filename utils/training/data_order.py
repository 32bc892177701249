"""A digest of what decides the order of a data set's samples beside the flags: their names, numbers and shards.

A state holds it, because training that goes on in the middle of an epoch with other samples sees some twice, others
never. It reads no sample, and places (folders, URLs) play no part, so that data may move between sessions.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import singledispatch

from torch import Tensor
from torch.utils.data import Dataset

from datasets.labelled.training_clouds import TrainingClouds
from datasets.pairs.modelnet_views import ModelNetViews
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.pairs.source_items import SourceItems
from datasets.pairs.tolerant_pairs import TolerantPairs
from datasets.parts.shuffled_parts import ShuffledParts
from datasets.scenes.frame_pairs import FramePairItems
from datasets.scenes.room_blocks import TrainingBlocks
from datasets.scenes.training_rooms import TrainingRooms
from datasets.shards.shard_pairs import ShardPairs


def order_digest(dataset: Dataset) -> str:
    """Return the hexadecimal digest; equal for trees and the packed file of them, whose samples are the same."""
    digest = hashlib.sha256(f"{len(dataset)} samples\n".encode())
    for part in order_parts(dataset):
        digest.update(part)
    return digest.hexdigest()


@singledispatch
def order_parts(dataset: Dataset) -> Iterable[bytes]:
    """Return what is digested beside the number of samples: nothing is known of a data set of another kind."""
    return ()


@order_parts.register
def _(dataset: TolerantPairs) -> Iterable[bytes]:
    return order_parts(dataset.dataset)


@order_parts.register
def _(dataset: SourceItems) -> Iterable[bytes]:
    return order_parts(dataset.source)


@order_parts.register
def _(dataset: ShapeNetRender | ModelNetViews) -> Iterator[bytes]:
    for shape in dataset.shapes:
        yield _line(str(shape), len(shape.views) if dataset.with_images else 0)


@order_parts.register
def _(dataset: PackedRender) -> Iterator[bytes]:
    for index in range(len(dataset)):
        yield _line(dataset.file.name(index), dataset.num_views(index) if dataset.with_images else 0)


@order_parts.register
def _(dataset: ShardPairs) -> Iterator[bytes]:
    for number, shards in enumerate(dataset.index.passes):
        for shard in shards:
            yield _line(number, shard.samples, shard.sha256)


@order_parts.register
def _(dataset: FramePairItems) -> Iterator[bytes]:
    scenes = dataset.pairs.scenes
    for scene, first, second in dataset.pairs.rows:
        yield _line(scenes[scene].folder.name, scenes[scene].numbers[first], scenes[scene].numbers[second])


@order_parts.register
def _(dataset: ShuffledParts) -> Iterator[bytes]:
    clouds = dataset.clouds
    yield _line(*(path.name for path in clouds.shards))
    yield from map(_bytes, (clouds.categories, clouds.points[:, 0]))  # the first point stands for its cloud


@order_parts.register
def _(dataset: TrainingClouds) -> Iterator[bytes]:
    clouds, rows = dataset.clouds, dataset.rows
    yield _line(*(path.name for path in clouds.shards), *rows.tolist())
    yield from map(_bytes, (clouds.labels[rows], clouds.points[rows, 0]))


@order_parts.register
def _(dataset: TrainingRooms | TrainingBlocks) -> Iterator[bytes]:
    for room in dataset.rooms:
        yield _line(room.name, len(room.points))


def _line(*words: object) -> bytes:
    return ("\t".join(map(str, words)) + "\n").encode()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()
