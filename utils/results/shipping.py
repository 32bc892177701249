"""Weights that ship in pretrained/: their files, cards and table; only those that learned without any label."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch

from models.weights.published import export_state, load_encoder
from models.weights.safe_file import check_same, safe_bytes
from models.weights.shipped import SHIPPED, SUFFIX
from utils import markdown
from utils.csv_rows import Row
from utils.evaluation.features import extract_features
from utils.files import write_atomically
from utils.multiview.image_teacher import NO_LABELS
from utils.results.label_free import check_run, check_weights
from utils.results.learned_from import Tree, sources_of
from utils.results.result_records import read_report
from utils.results.tasks import CONDITIONS, protocol_name
from utils.results.weight_card import weight_card
from utils.run.epoch_metrics import read_metrics
from utils.run.folder import read_config
from utils.run.names import CONFIG_FILE, METRICS_FILE, MODELS_FOLDER
from utils.run.provenance import file_sha256

MOST_BYTES = 3_000_000
SECTION = "weights"
NOTHING_YET = "No weights are here yet."
_NUMBERS = 16  # of the feature of the example cloud, in the card


class TestSet(NamedTuple):
    """A labelled set and the reports of evaluations on it, of random weights and of those that ship."""

    name: str
    reports: list[Path]


def example_cloud(num_points: int) -> np.ndarray:
    """Return the cloud (1, N, 3) whose feature a card holds, so that a reader can tell that all is well."""
    return np.random.default_rng(0).random((1, num_points, 3)).astype(np.float32) - 0.5


def figures_of(test_set: TestSet, digest: str, k: int | None) -> list[dict[str, Any]]:
    """Put the accuracies of reports side by side: those of the weights with this digest, and the mean of random ones.

    Raises:
        FileNotFoundError, ValueError: a report is missing, damaged, of other weights or neighbours than `k`, or without
            a counterpart.
    """
    rows = [row for path in test_set.reports for row in read_report(path) if row["metric"] == "accuracy"]
    others = {row["checkpoint"] for row in rows if row["encoder"] == "pretrained" and row["sha256"] != digest}
    if others:
        raise ValueError(
            f"scores on {test_set.name} are of other weights: {', '.join(sorted(others))}; score these again"
        )
    if strange := {row["k"] for row in rows} - {"" if k is None else str(k)}:
        raise ValueError(f"scores on {test_set.name} are with k {sorted(strange)[0]}, the weights ship with k {k}")
    sides: dict[str, dict[tuple[str, ...], list[Row]]] = {"random": {}, "pretrained": {}}
    for row in rows:
        key = tuple(row[name] for name in (*CONDITIONS, "setting"))
        sides[row["encoder"]].setdefault(key, []).append(row)
    if not rows or sides["random"].keys() != sides["pretrained"].keys():
        raise ValueError(
            f"scores on {test_set.name}: give those of random and of these weights, made by the same flags"
        )
    found = []
    for key, (row, *_) in sides["pretrained"].items():
        random, shipped = (mean(float(one["value"]) for one in side[key]) for side in sides.values())
        variant = f"{row['variant']}, " if row["variant"] else ""
        points = f"{variant}{row['num_points']} points" + (", normalised" if row["normalize"] == "True" else "")
        words = {"test_set": test_set.name, "clouds": points, "protocol": protocol_name(row)}
        found.append(words | {"random": round(random, 4), "shipped": round(shipped, 4)})
    return found


def ship(
    run: Path,
    weights: str,
    name: str,
    trees: Sequence[Tree],
    test_sets: Sequence[TestSet],
    out: Path,
    *,
    k: int | None = None,
    command: str = "",
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Write <name>.safetensors, <name>.json (the card), <name>.metrics.jsonl (the log of the run) and the table.

    Args:
        run: folder of a finished pre-training.
        weights: file in its models/.
        trees: all shapes that it saw.
        out: folder of shipped weights, whose README.md has the table.
        k: neighbours per point that the file asks for; None takes those of the training.
        command: what made all of it, for the card; "" if there is no such command.
        report: called with lines on what is not known of the trees.
    Returns:
        The card.
    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged, labels have entered, trees are not those of the
            run, the weights are too large, or `out` has no place for the table. Nothing is written then.
        OSError: no room or no permission; new files of the weights are removed again.
    """
    readme = out / "README.md"
    _check_readme(readme)
    path, config = run / MODELS_FOLDER / weights, read_config(run / CONFIG_FILE)
    check_run(run / CONFIG_FILE, config)
    loaded = load_encoder(path, k=k)
    check_weights(path, loaded)
    sources = sources_of(run, config["flags"], trees, report)
    sessions, num_points = [config, *config.get("sessions", [])], config["flags"]["num_points"]
    digest, used_k = file_sha256(path), getattr(loaded.encoder, "k", None)
    figures = [figure for test_set in test_sets for figure in figures_of(test_set, digest, used_k)]
    reports = [report for test_set in test_sets for report in test_set.reports if _is_of_weights(report)]
    licences = "; ".join(dict.fromkeys(source.licence for source in sources))
    card = weight_card(
        path, loaded, reports=reports, licence=f"MIT, as this repository; learned from shapes of: {licences}"
    )
    with torch.random.fork_rng():
        feature = extract_features(loaded.encoder, example_cloud(num_points), device=torch.device("cpu"))[0]
    card |= {
        "name": name,
        "num_points": num_points,
        "seed": config["flags"]["seed"],
        "command": command,
        "train_commands": [session["command"] for session in sessions],
        "commit": ", ".join(dict.fromkeys(session["commit"] for session in sessions)),
        "machine": ", ".join(dict.fromkeys(session["machine"] for session in sessions)),
        "hours": round(read_metrics(run)[-1]["hours"], 3),
        "labels": NO_LABELS,
        "sources": [source._asdict() for source in sources],
        "figures": figures,
        "example": [round(float(value), 6) for value in feature[:_NUMBERS]],
    }
    state = export_state(loaded.encoder, loaded.name, k=card["k"], run=loaded.stored.get("run"))
    content = safe_bytes(state, loaded.stored | {"model": loaded.name, "k": card["k"]}, card)
    check_same(content, state)
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"{name}{SUFFIX} would have {len(content)} bytes, more than {MOST_BYTES}: give a narrower encoder"
        )
    card |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    table = tables_of(sorted([*read_cards(out, but=name), card], key=lambda one: one["name"]))
    files = {
        out / f"{name}{SUFFIX}": content,
        out / f"{name}.{METRICS_FILE}": (run / METRICS_FILE).read_bytes(),
        out / f"{name}.json": (json.dumps(card, indent=2) + "\n").encode(),
    }
    new = [file for file in files if not file.exists()]
    try:
        for file, data in files.items():
            write_atomically(file, lambda stream, data=data: stream.write(data))
        markdown.update_section(readme, SECTION, table)
    except BaseException:
        for file in new:
            file.unlink(missing_ok=True)
        raise
    return card


def _check_readme(path: Path) -> None:
    """Refuse a folder of weights without a place for their table.

    Raises:
        FileNotFoundError, ValueError: no README.md, or one without the lines around the table; says what to do.
    """
    wanted = f"expected a README.md with the lines {' and '.join(markdown.markers(SECTION))}, between which the table "
    wanted += f"of all weights is written; add them, or pass --out {SHIPPED}"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {wanted}")
    try:
        markdown.replace_section(path.read_text(encoding="utf-8"), SECTION, "")
    except ValueError as error:
        raise ValueError(f"{path}: {wanted}") from error


def _is_of_weights(report: Path) -> bool:
    """Return whether any record of a report is of other weights than random ones."""
    return any(row["encoder"] == "pretrained" for row in read_report(report))


def read_cards(folder: Path, *, but: str = "") -> list[dict[str, Any]]:
    """Read the card of every weight file in a folder, except those of the name `but`, sorted by name.

    Raises:
        ValueError: one is missing or damaged.
    """
    cards = []
    for file in sorted(file for file in folder.glob(f"*{SUFFIX}") if file.stem != but):
        path = file.with_suffix(".json")
        try:
            cards.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} has no readable card {path.name} ({error}); ship the weights again") from error
    return cards


def tables_of(cards: Sequence[dict[str, Any]]) -> str:
    """Return Markdown: what the weights are, and their figures beside those of random weights, in percent."""
    if not cards:
        return NOTHING_YET
    kinds = [
        [
            *(
                f"`{card['name']}`",
                card["model"],
                "-" if card["k"] is None else str(card["k"]),
                str(card["num_points"]),
            ),
            f"{card['bytes'] / 1e6:.2f} MB",
            "; ".join(f"{one['shapes']} {one['name']} ({one['licence']})" for one in card["sources"]),
            *(str(card["seed"]), f"{card['hours']:.2f}", card["machine"]),
        ]
        for card in cards
    ]
    header = [
        *("name", "encoder", "k in use", "points in training", "size", "learned from, without a label"),
        *("seed", "hours", "machine"),
    ]
    figures = [
        [
            *(f"`{card['name']}`", f"{one['test_set']} ({one['clouds']})", one["protocol"]),
            *(f"{100 * one[side]:.1f}" for side in ("random", "shipped")),
            f"{100 * (one['shipped'] - one['random']):+.1f}",
        ]
        for card in cards
        for one in card["figures"]
    ]
    columns = ["name", "test set", "protocol", "random (%)", "shipped (%)", "gain"]
    return f"{markdown.table(header, kinds)}\n\n{markdown.table(columns, figures)}"
