"""Files of few-shot episodes, so that other code can score exactly the same ones.

A fold is a JSON file; a folder of them is a protocol, such as Point-BERT's ten folds of each setting. A fold names
clouds by their place in a split, counted from 0 over the shards in file order:

    {
      "support": {"train": [812, 16, 1040, 3]},
      "query": {"test": [7, 90, 14, 33]},
      "num_clouds": {"train": 9840, "test": 2468}
    }

Support and query may each name clouds of train, of test or of both. The optional `num_clouds` guards against another
version of the data set. The classes of an episode follow from the data set's labels; all of them have the same number
of support clouds, and the same number of query clouds. Point-BERT distributes its folds as pickles, which execute code
when they are read; nothing here opens them.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.evaluation.few_shot import Episode, Setting
from utils.files import write_text
from utils.run.provenance import file_sha256

SPLITS = ("train", "test")
_PARTS = ("support", "query")


class Fold(NamedTuple):
    """Content of one file: places by split, and the sizes its splits must have."""

    path: Path
    support: dict[str, list[int]]
    query: dict[str, list[int]]
    num_clouds: dict[str, int]


def read_folds(path: str | Path) -> list[Fold]:
    """Read the fold of a file, or those of every *.json in a folder, sorted by name.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: a file is not a fold; names it and says what was expected.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"no fold at {path}; expected a JSON file or a folder of *.json files")
    return [_read_fold(file) for file in files]


def _read_fold(path: Path) -> Fold:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise ValueError(f"{path} is no JSON file ({error})") from error
    if not isinstance(content, dict) or not set(_PARTS) <= content.keys() <= {*_PARTS, "num_clouds"}:
        raise ValueError(f"{path}: expected an object of support, query and, if you like, num_clouds")
    for part in _PARTS:
        by_split = content[part]
        if not isinstance(by_split, dict) or not by_split or not set(by_split) <= set(SPLITS):
            raise ValueError(f'{path}: expected {part} to be lists by split, such as {{"train": [0, 5]}}')
        if not all(isinstance(places, list) and _are_counts(places) for places in by_split.values()):
            raise ValueError(f"{path}: {part} holds something else than lists of whole numbers from 0")
    sizes = content.get("num_clouds", {})
    if not isinstance(sizes, dict) or not set(sizes) <= set(SPLITS) or not _are_counts(sizes.values()):
        raise ValueError(f'{path}: expected num_clouds to be sizes by split, such as {{"train": 9840}}')
    return Fold(path, content["support"], content["query"], sizes)


def _are_counts(values) -> bool:
    return all(type(value) is int and value >= 0 for value in values)


def describe_folds(path: str | Path, folds: Sequence[Fold]) -> dict[str, str]:
    """Return what records say of the folds read from a path: where they lie, and a digest of their files."""
    digest = hashlib.sha256()
    for fold in folds:
        digest.update(file_sha256(fold.path).encode())
    return {"folds": str(path), "folds_sha256": digest.hexdigest()}


def splits_named(folds: Sequence[Fold], part: str | None = None) -> list[str]:
    """Return the splits that folds name, train first: in `part`, or where that is None in support or query."""
    parts = [part] if part else _PARTS
    return [split for split in SPLITS if any(split in getattr(fold, name) for fold in folds for name in parts)]


def to_episode(fold: Fold, labels: dict[str, np.ndarray]) -> tuple[Setting, Episode]:
    """Convert a fold into an episode whose rows count through the splits of `labels`, one after the other.

    Args:
        labels: (M,) of each split, in the order in which features are concatenated.
    Raises:
        ValueError: a place beyond its split, a split of another size than the fold was made for, a cloud named twice,
            or classes with different numbers of clouds; names the file.
    """
    for split, size in fold.num_clouds.items():
        if split in labels and len(labels[split]) != size:
            raise ValueError(f"{fold.path} is for a {split} split of {size} clouds, this one has {len(labels[split])}")
    episode = Episode(_rows(fold, "support", labels), _rows(fold, "query", labels))
    if len(np.unique(np.concatenate(episode))) < len(episode.support) + len(episode.query):
        raise ValueError(f"{fold.path} names a cloud twice: support and query must be disjoint, without repetitions")
    every_label = np.concatenate(list(labels.values()))
    classes, shots = _equal_counts(fold, "support", every_label[episode.support])
    asked, queries = _equal_counts(fold, "query", every_label[episode.query])
    if len(classes) < 2 or not np.array_equal(classes, asked):
        raise ValueError(
            f"{fold.path}: support has the classes {classes.tolist()}, query {asked.tolist()}; "
            "expected the same ones, at least two"
        )
    return Setting(len(classes), shots, queries), episode


def _rows(fold: Fold, part: str, labels: dict[str, np.ndarray]) -> np.ndarray:
    rows, start = [], 0
    for split, of_split in labels.items():
        places = getattr(fold, part).get(split, [])
        if max(places, default=0) >= len(of_split):
            raise ValueError(f"{fold.path}: {part} names {split} cloud {max(places)}, the last is {len(of_split) - 1}")
        rows.append(np.array(places, dtype=np.int64) + start)
        start += len(of_split)
    return np.concatenate(rows)


def _equal_counts(fold: Fold, part: str, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the classes of one part, and the number of clouds in each of them."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(set(counts)) != 1:
        sizes = ", ".join(f"{count} of class {label}" for label, count in zip(classes, counts))
        raise ValueError(f"{fold.path}: {part} has {sizes or 'no cloud'}; expected as many of each class")
    return classes, int(counts[0])


def write_fold(path: Path, episode: Episode, num_train: int) -> None:
    """Write an episode of train clouds as a fold."""
    parts = {part: {"train": getattr(episode, part).tolist()} for part in _PARTS}
    write_text(path, json.dumps(parts | {"num_clouds": {"train": num_train}}) + "\n")
