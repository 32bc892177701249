"""Compute the feature of every cloud in any files: meshes, clouds, HDF5, and folders of them.

    python -m scripts.embed chair.obj scans/ --model_path checkpoints/crosspoint/models/best_model.pth --out chairs.npz

--out FILE.npz holds feature (M, D) float32, name (M,), how (M,), each cloud's reading in words, and origin, a JSON text
of the weights and their transform; FILE.csv has a line a cloud: name, how, f0 to f{D-1}. Clouds are brought into the
form of the training clouds as the weights say; flags overrule that. Rows of an HDF5 file are named FILE[row]. A file
that cannot be read is named, the others are written, and the exit status is 1.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from utils.cli import run_main
from utils.csv_rows import write_rows
from utils.files import write_npz
from utils.flags import add_device_arg, add_flags, program_parser, require_at_least, weights_path
from utils.inference.cloud_files import Embedded, InputSettings, find_cloud_files, report_failed, run_network
from utils.output_files import refuse_inputs
from utils.pretrained import load
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device
from utils.run.provenance import file_sha256

WRITTEN = (".npz", ".csv")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the files, of the weights and of the clouds."""
    parser = program_parser(__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE_OR_FOLDER", help="meshes, clouds, HDF5, folders of them")
    parser.add_argument(
        "--model_path",
        type=weights_path,
        required=True,
        help="weights in any form: .pth, .pt, .safetensors, .pt2, .onnx",
    )
    parser.add_argument("--out", type=Path, required=True, help="features.npz or features.csv")
    parser.add_argument("--k", type=int, help="neighbours per point (default: what the weights say, else 15)")
    parser.add_argument("--batch_size", type=int, default=32, help="clouds per forward pass")
    add_flags(parser, InputSettings, "clouds")
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    """Read, embed, write; refuse bad flags before the network runs."""
    settings = InputSettings.read(vars(args))
    require_at_least(1, args, "batch_size", "k")
    if args.out.suffix.lower() not in WRITTEN or args.out.is_dir():
        raise ValueError(f"--out {args.out}: expected a file {' or '.join(WRITTEN)}, such as features.npz")
    files, unreadable = find_cloud_files(args.files)
    refuse_inputs(args.out, files)
    keep_freed_memory(get_device(args.device))
    encoder = load(args.model_path, k=args.k, device=args.device)
    transform = settings.transform(encoder.stored, is_pretrained=encoder.is_pretrained)
    print(f"encoder: {encoder.name}, {args.model_path}; clouds: {transform}")
    found = run_network(encoder.module, files, transform, batch_size=args.batch_size, seed=settings.seed)
    found.failed += unreadable
    status = report_failed(found)
    origin = {
        "weights": str(args.model_path),
        "weights_sha256": file_sha256(args.model_path),
        "model": encoder.name,
        "transform": str(transform),
    }
    write(args.out, found, origin)
    print(f"wrote {args.out}: {len(found.names)} features of {encoder.feature_dim} numbers")
    return status


def write(out: Path, found: Embedded, origin: dict[str, str]) -> None:
    """Write features, names and readings as NumPy arrays or as text."""
    feature = np.stack(found.values)
    if out.suffix.lower() == ".npz":
        write_npz(out, feature=feature, name=np.array(found.names), how=np.array(found.how), origin=json.dumps(origin))
        return
    columns = [f"f{number}" for number in range(feature.shape[1])]
    named = zip(found.names, found.how, feature.tolist())
    rows = ({"name": name, "how": how} | dict(zip(columns, values)) for name, how, values in named)
    write_rows(out, ["name", "how", *columns], rows)


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
