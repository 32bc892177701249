"""Classes of unlabelled shapes: what is written of each, and what a person has corrected."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.texts.class_texts import class_text
from utils.csv_rows import read_rows, write_rows

COLUMNS = ("file", "class", "confidence", "second", "second_confidence", "decided_by", "correct")
PERSON, BOTH, POINTS, IMAGES, NEITHER = "person", "both", "points", "images", "neither"


class ShapeLabel(NamedTuple):
    """A row of labels.csv: a mesh, its class and the second likeliest, with their probabilities.

    decided_by: which modality alone gives this class: both, points, images, or neither, where only their sum does; or a
    person, who is believed. correct: what this person has written.
    """

    file: str
    name: str
    confidence: float
    second: str
    second_confidence: float
    decided_by: str
    correct: str = ""


def label_rows(
    files: Sequence[str], logits: Mapping[str, np.ndarray], names: Sequence[str], given: Mapping[str, int]
) -> list[ShapeLabel]:
    """Choose the class of each file.

    Args:
        files: M names.
        logits: "points", "views" and "both", (M, Y) each, as `zero_shot_logits` returns them.
        names: Y >= 2 classes.
        given: file -> number of the class that a person has given it.
    """
    powers = np.exp(logits["both"] - logits["both"].max(axis=1, keepdims=True))
    probability = powers / powers.sum(axis=1, keepdims=True)  # (M, Y)
    order = np.argsort(-probability, axis=1, kind="stable")
    alone = {POINTS: logits["points"].argmax(axis=1), IMAGES: logits["views"].argmax(axis=1)}
    rows = []
    for row, file in enumerate(files):
        best, second = order[row, :2]
        named_by = [modality for modality, label in alone.items() if label[row] == best]
        decided_by = BOTH if len(named_by) == 2 else named_by[0] if named_by else NEITHER
        confidence, correct = probability[row, best], ""
        if file in given:
            if given[file] != best:
                best, second = given[file], best
            confidence, decided_by, correct = 1.0, PERSON, names[given[file]]
        row_of = (file, names[best], float(confidence), names[second], float(probability[row, second]))
        rows.append(ShapeLabel(*row_of, decided_by, correct))
    return rows


def write_labels(path: Path, labels: Sequence[ShapeLabel]) -> None:
    """Write labels.csv."""
    rows = ((row[0], row[1], f"{row[2]:.4f}", row[3], f"{row[4]:.4f}", *row[5:]) for row in labels)
    write_rows(path, COLUMNS, (dict(zip(COLUMNS, row)) for row in rows))


def read_corrections(path: Path, files: Collection[str], names: Sequence[str]) -> dict[str, int]:
    """Read the classes that a person has written into the column `correct`: file -> number of the class.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no columns file and correct, an unknown file or class, or two classes of one file.
    """
    given: dict[str, int] = {}
    for number, row in enumerate(read_rows(path, ("file", "correct"), allows_others=True), start=2):
        file, word = row["file"], row["correct"].strip()
        if not word:
            continue
        place = f"{path} record {number}: {file!r}"
        if file not in files:
            raise ValueError(f"{place} is no mesh of this folder; expected names such as {min(files)!r}")
        if (text := class_text(word)) not in names:
            raise ValueError(f"{place} is corrected to {word!r}, which is no class: expected one of {', '.join(names)}")
        if given.setdefault(file, names.index(text)) != names.index(text):
            raise ValueError(f"{place} is corrected twice, to {names[given[file]]!r} and {text!r}; keep one of them")
    return given
