"""Classify shapes in any files by a fine-tuned network: meshes, clouds, HDF5, and folders of them.

    python -m scripts.classify chair.obj scans/ --model_path checkpoints/ft/models/best_model.pth --out classes.csv

Prints a line a cloud: its name, the likeliest class and its probability, and the next ones. --out FILE.csv has name,
class, probability, how (the cloud's reading in words), and a column for each class. Clouds are brought into the form of
the training clouds as the weights say; flags overrule that. A file that cannot be read is named, the others are
classified, and the exit status is 1.
"""

import argparse
from pathlib import Path

import numpy as np

from utils.classification.classifier_weights import load_network, read_stored
from utils.cli import run_main
from utils.csv_rows import write_rows
from utils.flags import add_device_arg, add_flags, program_parser, require_at_least, weights_path
from utils.inference.cloud_files import InputSettings, find_cloud_files, report_failed, run_network
from utils.output_files import refuse_inputs
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the files, of the network and of the clouds."""
    parser = program_parser(__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE_OR_FOLDER", help="meshes, clouds, HDF5, folders of them")
    parser.add_argument(
        "--model_path",
        type=weights_path,
        required=True,
        help="a file of scripts.finetune_cls, .pth or .safetensors",
    )
    parser.add_argument("--out", type=Path, help="CSV of all probabilities")
    parser.add_argument("--top", type=int, default=3, help="classes shown for each cloud")
    parser.add_argument("--batch_size", type=int, default=32, help="clouds per forward pass")
    add_flags(parser, InputSettings, "clouds")
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    """Read, classify, print and write; refuse bad flags before the network runs."""
    settings = InputSettings.read(vars(args))
    require_at_least(1, args, "batch_size", "top")
    if args.out and (args.out.suffix.lower() != ".csv" or args.out.is_dir()):
        raise ValueError(f"--out {args.out}: expected a file .csv, such as classes.csv")
    files, unreadable = find_cloud_files(args.files)
    refuse_inputs(args.out, files)
    device = get_device(args.device)
    keep_freed_memory(device)
    network, origin = load_network(args.model_path)
    names = origin["class_names"]
    transform = settings.transform(read_stored(args.model_path))
    print(f"network: {args.model_path}, {len(names)} classes; clouds: {transform}")
    found = run_network(network.to(device), files, transform, batch_size=args.batch_size, seed=settings.seed)
    found.failed += unreadable
    status = report_failed(found)
    probability = softmax(np.stack(found.values))
    for name, row in zip(found.names, probability):
        best = row.argsort()[::-1][: args.top]
        print(f"{name}: " + ", ".join(f"{names[index]} {row[index]:.3f}" for index in best))
    if args.out:
        rows = (
            {"name": name, "class": names[row.argmax()], "probability": row.max(), "how": how} | dict(zip(columns, row))
            for columns in [[f"p({name})" for name in names]]
            for name, how, row in zip(found.names, found.how, probability)
        )
        write_rows(args.out, ["name", "class", "probability", "how", *(f"p({name})" for name in names)], rows)
        print(f"wrote {args.out}: {len(found.names)} clouds")
    return status


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (M, Y) of logits (M, Y)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
