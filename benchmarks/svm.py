"""The linear SVM of the evaluations against scikit-learn's SVC(kernel="linear"), in one run.

    python -m benchmarks.svm --record
    python -m benchmarks.svm --features features.npz     # arrays features (M, D) and labels (M,)

Both sides solve the same problem in float64 and must reach the same accuracy. They are timed in turns, fit and
prediction together; figures are medians of the rounds. Every fifth cloud is for testing.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from sklearn.svm import SVC

from benchmarks.harness.records import Figure, Recorder, add_output_args, figures_of, setting_text
from benchmarks.harness.timing import in_turns
from utils.cli import run_main
from utils.evaluation.svm.linear_svm import PUBLISHED_C, published_protocol
from utils.files import read_npz
from utils.flags import program_parser, require_at_least

NUM_CLASSES = 40
TEST_EVERY = 5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 4000], help="train clouds")
    parser.add_argument("--width", type=int, default=2048, help="numbers a feature")
    parser.add_argument("--features", type=Path, metavar="FILE.npz", help="use these instead: features, labels")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each side")
    add_output_args(parser)
    return parser.parse_args(argv)


def make_features(num_rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Make features (M, D) and labels (M,) like a pre-trained encoder's: classes overlap, few directions matter."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(num_rows) % NUM_CLASSES)
    centres = rng.standard_normal((NUM_CLASSES, 32))
    hidden = centres[labels] + 0.8 * rng.standard_normal((num_rows, 32))
    activation = hidden @ rng.standard_normal((32, width)) / 32 + 0.05 * rng.standard_normal((num_rows, width))
    return np.where(activation > 0, activation, 0.2 * activation).astype(np.float32), labels


def load_features(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the arrays `features` (M, D) and `labels` (M,) of a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else.
    """
    try:
        file = read_npz(path)
        features, labels = file["features"], file["labels"]
    except KeyError as error:
        raise ValueError(f"{path} is no .npz file with the arrays features and labels ({error})") from error
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"{path}: expected features (M, D), labels (M,), got {features.shape}, {labels.shape}")
    return features, labels


def compare(features: np.ndarray, labels: np.ndarray, name: str, rounds: int) -> list[Figure]:
    """Measure seconds and accuracies of both sides.

    Args:
        features: (M, D); every fifth row is for testing.
        labels: (M,).
        name: of the features, for the setting.
    Raises:
        ValueError: the accuracies differ.
    """
    is_test = np.arange(len(labels)) % TEST_EVERY == TEST_EVERY - 1
    sets = features[~is_test], labels[~is_test], features[is_test], labels[is_test]
    accuracy: dict[str, float] = {}

    def sklearn() -> None:
        predicted = SVC(kernel="linear", C=PUBLISHED_C).fit(*sets[:2]).predict(sets[2])
        accuracy["sklearn"] = accuracy_score(sets[3], predicted)

    def ours() -> None:
        accuracy["ours"] = published_protocol(*sets, c=PUBLISHED_C).accuracy

    times = in_turns({"sklearn": sklearn, "ours": ours}, rounds, torch.device("cpu"))
    if accuracy["sklearn"] != accuracy["ours"]:
        raise ValueError(f"accuracies differ, so these are not the same problem: {accuracy}")
    setting = setting_text(
        features=name, train=len(sets[0]), test=len(sets[2]), D=features.shape[1], classes=len(np.unique(labels))
    )
    percent = {side: 100 * share for side, share in accuracy.items()}
    return [
        *figures_of(setting, "fit and predict", "s", times, rounds),
        *figures_of(setting, "accuracy", "%", percent),
    ]


def main(args: argparse.Namespace) -> None:
    require_at_least(1, args, "width", "rounds")
    if min(args.sizes) < NUM_CLASSES:
        raise ValueError(f"--sizes must be at least {NUM_CLASSES}, the number of classes, got {min(args.sizes)}")
    recorder = Recorder(args, "svm", torch.device("cpu"))
    if args.features:
        recorder.add(compare(*load_features(args.features), args.features.stem, args.rounds))
        return
    for size in args.sizes:
        num_rows = size * TEST_EVERY // (TEST_EVERY - 1)
        recorder.add(compare(*make_features(num_rows, args.width), "synthetic", args.rounds))


if __name__ == "__main__":
    run_main(lambda: main(parse_args()))
