"""Classify shapes by the names of their classes alone, with towers that are aligned with texts.

    python -m scripts.eval_zeroshot --towers checkpoints/aligned/models/towers_best.pth --dataset scanobjectnn
    python -m scripts.eval_zeroshot --towers checkpoints/aligned/models/towers_best.pth --dataset shapes \
        --data_root MY_SHAPES --classes chair,table,"floor lamp" --json zero.json --confusion zero/

Prints a line that starts with `result` for points and, of shapes with views, for one view, for all views averaged, and
for points and all views together. Labels are used to score, and for nothing else. --json holds top-1, top-5 and mean
class accuracy, those of each class and the confusion matrix; --confusion DIR draws it. Towers of scripts.align_text
compare with texts, those of scripts.train_crossmost with the classifier that they have learned. --prototypes is a
baseline without training: each class becomes the mean of the inputs that are most confidently assigned to it.
"""

import argparse
from pathlib import Path

from models.encoders.registry import has_graph
from models.methods.text_alignment import load_towers
from utils import seed
from utils.cli import run_main
from utils.evaluation.json_report import result_line, write_report
from utils.figures.class_plots import draw_confusion_matrix
from utils.figures.plot_style import save_png
from utils.flags import add_device_arg, add_flags, default_data_root, program_parser, require_at_least
from utils.output_files import check_output_folder, check_report_path
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device
from utils.run.provenance import weights_origin
from utils.texts.text_tower import ClipSettings, PromptSettings, classifier_for
from utils.texts.zero_shot import own_classifier, zero_shot_logits, zero_shot_score
from utils.texts.zero_shot_sets import ZeroShotSetSettings, open_zero_shot_set

PROTOTYPE_SHARE = 0.5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the towers, of the data and of the prompts."""
    parser = program_parser(__doc__)
    parser.add_argument("--towers", type=Path, required=True, help="a file of scripts.align_text or train_crossmost")
    parser.add_argument("--random_init", action="store_true", help="the same towers untrained: the baseline")
    parser.add_argument("--prototypes", action="store_true", help="classes become means of confident inputs")
    parser.add_argument("--batch_size", type=int, default=32, help="clouds or views per forward pass")
    parser.add_argument("--json", help="file of the results")
    parser.add_argument("--confusion", type=Path, metavar="DIR", help="folder of confusion matrices, a PNG a protocol")
    add_device_arg(parser)
    add_flags(parser, ZeroShotSetSettings, "data", data_root=default_data_root())
    add_flags(parser, PromptSettings, "prompts")
    add_flags(parser, ClipSettings, "CLIP, where towers were aligned with its texts")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Embed, compare, score; refuse bad flags before the networks run."""
    flags = vars(args)
    settings, prompts = ZeroShotSetSettings.read(flags), PromptSettings.read(flags).read_prompts()
    require_at_least(1, args, "batch_size")
    check_report_path(args.json)
    if args.confusion:
        check_output_folder("--confusion", args.confusion)
    device = get_device(args.device)
    keep_freed_memory(device)
    seed.everything(settings.seed)
    towers = load_towers(args.towers, is_trained=not args.random_init).to(device)
    shapes = open_zero_shot_set(settings)
    if towers.class_names:
        classifier = own_classifier(towers, shapes.class_names)
        if not settings.classes:
            shapes.choose_from(towers.class_names)
            classifier = towers.classifier.detach()
    else:
        classifier = classifier_for(towers.text, ClipSettings.read(flags), shapes.class_names, prompts)
    print(f"{len(shapes)} shapes, {len(shapes.class_names)} classes: {', '.join(shapes.class_names)}")
    share = PROTOTYPE_SHARE if args.prototypes else None
    options = {"batch_size": args.batch_size, "seed": settings.seed, "prototype_share": share}
    logits = zero_shot_logits(towers, shapes, classifier, **options)
    point = towers.describe()["point"]
    constants = {
        "dataset": settings.dataset,
        "split": shapes.split,
        **point | {"k": point["k"] if has_graph(point["model"]) else None},
        **towers.text,
        "num_prompts": None if towers.class_names else len(prompts),
        "classifier": "trained" if towers.class_names else "texts",
        "prototype_share": share,
        "image_size": towers.image_size,
        "background": settings.background,
        "seed": settings.seed,
        **shapes.constants,
        **weights_origin(None if args.random_init else args.towers, settings.seed),
    }
    records = []
    for protocol, rows in logits.items():
        record, predicted = zero_shot_score(rows, shapes, protocol)
        records.append(constants | record)
        print(result_line(records[-1]))
        if args.confusion:
            title = f"zero-shot, {protocol}: {100 * record['accuracy']:.1f} %"
            figure = draw_confusion_matrix(shapes.labels, predicted, shapes.class_names, title)
            save_png(figure, args.confusion / f"{protocol}.png")
    write_report(args.json, records)


if __name__ == "__main__":
    run_main(main, parse_args())
