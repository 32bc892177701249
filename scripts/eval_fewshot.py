"""Few-shot classification by a frozen encoder: a linear SVM on a few clouds of a few classes, many times over.

    python -m scripts.eval_fewshot --model_path checkpoints/crosspoint/models/best_model.pth --dataset modelnet40
    python -m scripts.eval_fewshot --random_init --dataset scanobjectnn --k_way 5 --m_shot 10 --json random.json

Without --k_way and --m_shot all four published settings are run: 5 and 10 way, 10 and 20 shot, 50 episodes each.
Protocol published: support and query from the train split, standardised on the support, SVM with C 1. Accuracy is the
mean over episodes, accuracy_std the population deviation as published, accuracy_ci95 half the 95 % interval of the
mean. An episode depends on its setting, its number and --seed alone, so that encoders are compared on the same ones.
As published, 2048 points are used. The published default of k was 5 whatever the encoder was trained with, a defect;
here k is the trained one. Protocol folds: episodes read from files, as Point-BERT has them, in the format of
utils/evaluation/fold_files.py.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

from datasets.labelled.labelled_clouds import LabelledClouds
from utils.cli import run_main
from utils.evaluation import few_shot
from utils.evaluation.encoder_scores import extract_splits
from utils.evaluation.few_shot import Episode, Setting, draw_episode, score_episodes, usable_classes
from utils.evaluation.fold_files import describe_folds, read_folds, splits_named, to_episode, write_fold
from utils.evaluation.frozen_encoder import EncoderSettings, FeatureSettings, load_frozen_encoder
from utils.evaluation.json_report import result_line, write_report
from utils.evaluation.labelled_set import LabelledSetSettings, load_split
from utils.flags import add_device_arg, add_flags, default_data_root, program_parser
from utils.output_files import check_report_path
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

PUBLISHED = {
    "k_way": few_shot.WAYS,
    "m_shot": few_shot.SHOTS,
    "n_query": few_shot.NUM_QUERIES,
    "n_runs": few_shot.NUM_RUNS,
    "write_folds": None,
}
Episodes = dict[Setting, list[Episode]]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the encoder, of the data and of the episodes."""
    parser = program_parser(__doc__)
    add_flags(parser, EncoderSettings, "encoder", either=("model_path", "random_init"))
    add_flags(parser, FeatureSettings, "features")
    add_device_arg(parser)
    add_flags(parser, LabelledSetSettings, "data", data_root=default_data_root(), num_points=2048)
    group = parser.add_argument_group("episodes")
    group.add_argument("--protocol", choices=("published", "folds"), default="published")
    group.add_argument("--k_way", type=int, nargs="+", help="classes of an episode (default: 5 10)")
    group.add_argument("--m_shot", type=int, nargs="+", help="support clouds of each class (default: 10 20)")
    group.add_argument("--n_query", type=int, help="query clouds of each class (default: 20)")
    group.add_argument("--n_runs", type=int, help="episodes of each setting (default: 50)")
    group.add_argument("--folds", metavar="PATH", help="of protocol folds: a JSON file or a folder of them")
    group.add_argument("--write_folds", metavar="DIR", help="also write the episodes drawn to this folder, as folds")
    group.add_argument("--json", help="also write the results to this file")
    return parser.parse_args(argv)


def _check(args: argparse.Namespace) -> None:
    """Refuse flags that do not go together and numbers out of range; fill in the published ones."""
    if (args.folds is None) == (args.protocol == "folds"):
        raise ValueError("--folds PATH and --protocol folds go together; pass both, or neither")
    given = [name for name in PUBLISHED if getattr(args, name) is not None]
    if args.folds and given:
        raise ValueError(f"--{given[0]} belongs to --protocol published; the folds say which clouds an episode has")
    for name in PUBLISHED.keys() - set(given):
        setattr(args, name, PUBLISHED[name])
    for name, least in (("k_way", 2), ("m_shot", 1), ("n_query", 1), ("n_runs", 1)):
        smallest = min(np.atleast_1d(getattr(args, name)))
        if smallest < least:
            raise ValueError(f"--{name} must be at least {least}, got {smallest}")
    if args.write_folds and list(Path(args.write_folds).glob("*.json")):
        raise ValueError(f"--write_folds {args.write_folds} already holds JSON files; name another folder")
    check_report_path(args.json)


def draw(args: argparse.Namespace, train: LabelledClouds) -> Episodes:
    """Draw the episodes of every setting asked for; print how many classes are too small for one."""
    labels, episodes = train.labels.numpy(), {}
    for ways, shots in itertools.product(dict.fromkeys(args.k_way), dict.fromkeys(args.m_shot)):
        setting = Setting(ways, shots, args.n_query)
        total, usable = len(np.unique(labels)), len(usable_classes(labels, setting))
        if usable < total:
            small = f"{total - usable} of {total} classes have fewer than {shots + args.n_query} clouds"
            print(f"note: {setting}: {small} and are left out")
        episodes[setting] = [draw_episode(labels, setting, seed=args.seed, run=number) for number in range(args.n_runs)]
    return episodes


def write(folder: Path, episodes: Episodes, num_train: int) -> None:
    """Write a file for each episode, named after its setting and number."""
    for setting, drawn in episodes.items():
        for number, episode in enumerate(drawn):
            write_fold(folder / f"{str(setting).replace(' ', '_')}_{number:03d}.json", episode, num_train)


def read(path: str, labelled: LabelledSetSettings) -> tuple[dict[str, LabelledClouds], Episodes, str, dict[str, str]]:
    """Read folds: the splits they name, their episodes by setting, the splits of their queries, their description."""
    folds = read_folds(path)
    splits = {name: load_split(labelled, name) for name in splits_named(folds)}
    labels = {name: part.labels.numpy() for name, part in splits.items()}
    episodes: Episodes = {}
    for fold in folds:
        setting, episode = to_episode(fold, labels)
        episodes.setdefault(setting, []).append(episode)
    return splits, episodes, "+".join(splits_named(folds, "query")), describe_folds(path, folds)


def main(args: argparse.Namespace) -> None:
    """Draw or read the episodes, compute features once, score; refuse bad flags before the encoder runs."""
    _check(args)
    encoder, features, labelled = (
        kind.read(vars(args)) for kind in (EncoderSettings, FeatureSettings, LabelledSetSettings)
    )
    device = get_device(args.device)
    keep_freed_memory(device)
    if args.protocol == "folds":
        splits, episodes, split, folds = read(args.folds, labelled)
    else:
        folds = {}
        split, splits = "train", {"train": load_split(labelled, "train")}
        episodes = draw(args, splits["train"])
    frozen = load_frozen_encoder(encoder, device)
    if args.write_folds:
        write(Path(args.write_folds), episodes, len(splits["train"]))
    by_split, constants = extract_splits(labelled, features, frozen, splits, device)
    rows, labels = np.concatenate(list(by_split.values())), np.concatenate([part.labels for part in splits.values()])
    records = []
    for setting, of_setting in episodes.items():
        score = score_episodes(rows, labels, of_setting)
        protocol = {"task": few_shot.TASK, "protocol": args.protocol, "dataset": args.dataset, "split": split}
        size = dict(zip(("k_way", "m_shot", "n_query"), setting)) | {"n_runs": len(of_setting)}
        records.append({**protocol, **folds, **size, **score.figures(), **constants, "seed": args.seed})
        print(result_line(records[-1]), flush=True)
    write_report(args.json, records)


if __name__ == "__main__":
    run_main(main, parse_args())
