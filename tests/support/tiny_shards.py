"""Writing and reading of tiny shards."""

from pathlib import Path

from data.storage.sample_sources import TreeSource
from data.storage.shard_writer import claim_folder, write_shards
from datasets.shards.shard_index import ShardIndex
from datasets.shards.shard_samples import SampleReader, StoredSample
from datasets.shards.shard_source import ShardSource
from tests.support.tiny_trees import write_shapenet


def make_tree(root: Path, num_shapes: int, **sizes: int) -> Path:
    """Write trees of this many shapes, see write_shapenet."""
    return write_shapenet(root, [f"{i % 3:02d}/s{i:04d}" for i in range(num_shapes)], **sizes)


def make_shards(tree: Path, out: Path, *, passes: int = 2, samples_per_shard: int = 5, seed: int = 0) -> Path:
    """Write shards of the trees below `tree`."""
    with claim_folder(out, overwrite=False):
        write_shards(
            TreeSource(tree), tree, out, passes=passes, samples_per_shard=samples_per_shard, seed=seed, workers=1
        )
    return out


def read_shard(folder: Path, index: ShardIndex, number: int, pass_index: int = 0) -> list[StoredSample]:
    """Read all samples of a shard."""
    source, shard = ShardSource(folder), index.passes[pass_index][number]
    with source.open_shard(shard) as stream:
        reader = SampleReader(stream, source.where(shard.name), shard.bytes, index)
        return [reader.read() for _ in range(shard.samples)]


def read_pass(folder: Path, pass_index: int) -> dict[int, StoredSample]:
    """Read all samples of a pass, by the number of their shape."""
    index = ShardSource(folder).load_index()
    shards = range(len(index.passes[pass_index]))
    return {sample.number: sample for number in shards for sample in read_shard(folder, index, number, pass_index)}
