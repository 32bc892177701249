"""Score an image teacher's own features of the views of labelled shapes: what there is to be learned from it.

    python -m scripts.eval_teacher --image_teacher imagenet --train data/meshes_train --test data/meshes_test

Each is a folder with ShapeNetRendering/<class>/<id>/, as data.render_views writes it, or a file by data.pack. Features
are mean and maximum over all views, as `train_crosspoint.py --image_teacher` takes them; classes are the folders.
Without --test, train alone is scored: the fair linear SVM by cross-validation, the nearest neighbour by leaving each
shape out.
"""

import argparse
from pathlib import Path

import numpy as np

from utils.cli import run_main
from utils.evaluation.json_report import constants_line, make_record, result_line, write_report
from utils.evaluation.nearest_neighbour import leave_one_out_protocol
from utils.evaluation.protocols import run_protocols
from utils.evaluation.svm.fair_cv import fair_cv_protocol, left_out_words
from utils.flags import add_device_arg, add_flags, program_parser
from utils.multiview.image_teacher import ImageTeacherSettings
from utils.output_files import check_report_path
from utils.pretraining.pair_loader import SourceSettings
from utils.processes.device import get_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    own = {"image_teacher": "imagenet", "teacher_cache": "checkpoints/teacher_cache"}
    add_flags(parser, ImageTeacherSettings, "teacher", **own)
    parser.add_argument("--train", required=True, help="folder or packed file of the shapes that the protocols fit")
    parser.add_argument("--test", help="of those that are scored")
    parser.add_argument("--background", default="black", choices=("black", "white"), help="behind transparent renders")
    parser.add_argument("--seed", type=int, default=0, help="of the folds of the cross-validation")
    add_device_arg(parser)
    parser.add_argument("--json", help="also write the scores on --test to this file")
    return parser.parse_args(argv)


def see(args: argparse.Namespace, place: str) -> tuple[np.ndarray, list[str]]:
    """Return the features of all shapes of a folder or packed file, (M, 2D), and the class of each."""
    own = {"packed": place} if Path(place).is_file() else {"data_root": place}
    data = SourceSettings(**own, background=args.background)
    teacher = ImageTeacherSettings.read(vars(args))
    rows, source = teacher.see(data, Path(teacher.teacher_cache), get_device(args.device), report=print)
    return np.array(rows.array("rows")), [source.name(index).split("/")[0] for index in range(len(source))]


def main(args: argparse.Namespace) -> None:
    """Score the features; refuse bad flags before the teacher works."""
    settings = ImageTeacherSettings.read(vars(args))
    if not settings.has_teacher:
        raise ValueError("there is nothing to score: pass --image_teacher imagenet, or a file")
    if args.json and not args.test:
        raise ValueError("--json takes the scores on --test: name one")
    check_report_path(args.json)
    features, names = see(args, args.train)
    classes = sorted(set(names))
    labels = np.array([classes.index(name) for name in names])
    print(f"{len(labels)} shapes of {len(classes)} classes; labels of the teacher: {settings.labels}")
    if not args.test:
        try:
            scores = (fair_cv_protocol(features, labels, seed=args.seed), leave_one_out_protocol(features, labels))
        except ValueError as error:
            raise ValueError(f"{args.train}: {error}") from error
        for score in scores:
            print(constants_line(score))
            words = left_out_words(score.constants.get("num_scored", len(labels)), len(labels))
            print(f"{score.protocol}: {score.accuracy:.4f}{f', {words}' if words else ''}")
        return
    tested, test_names = see(args, args.test)
    if unknown := sorted(set(test_names) - set(classes)):
        raise ValueError(f"{args.test} holds classes that {args.train} lacks, first {unknown[0]}")
    test_labels = np.array([classes.index(name) for name in test_names])
    scores = run_protocols(features, labels, tested, test_labels, seed=args.seed)
    constants = {"image_teacher": settings.image_teacher, "image_teacher_labels": settings.labels, "seed": args.seed}
    constants |= {"background": args.background, "num_train": len(labels), "num_test": len(test_labels)}
    records = [make_record(score, dataset=Path(args.test).name, split="test", **constants) for score in scores]
    for line in [*map(constants_line, scores), *map(result_line, records)]:
        print(line)
    write_report(args.json, records)


if __name__ == "__main__":
    run_main(main, parse_args())
