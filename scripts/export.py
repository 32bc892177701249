"""Export a pre-trained encoder as one file that runs without this repository.

    python -m scripts.export --model_path checkpoints/crosspoint/models/best_model.pth --out encoder.pt2

The file is a torch.export program for a CPU: `torch.export.load("encoder.pt2").module()(points)` takes points (B, N, 3)
float32, any B, any N of at least k, to features (B, D). It is first read back and compared with the encoder on several
numbers and sizes of clouds, and written only if the two agree. y is up, and clouds should be of about unit size, as
--normalize makes them elsewhere.
"""

import argparse
import io
import json
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from models.weights.export import export_encoder
from models.weights.published import load_encoder
from utils.cli import run_main
from utils.evaluation.features import eval_mode
from utils.files import write_atomically
from utils.flags import program_parser, require_at_least
from utils.run.provenance import file_sha256

# Numbers of clouds, and of points beyond the fewest possible, in each check.
SHAPES = ((1, 0), (2, 1024), (7, 256))
# Rounding explains up to 1e-6, another choice among almost equidistant neighbours up to 1e-3; wrong weights cause 0.1.
TOLERANCE = 1e-2
ORIGIN = "encoder.json"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the encoder and of the file."""
    parser = program_parser(__doc__)
    parser.add_argument("--model_path", required=True, help="weights: of a run here, or published")
    parser.add_argument("--k", type=int, help="neighbours per point (default: what the checkpoint says, else 15)")
    parser.add_argument("--out", required=True, help="file to write, such as encoder.pt2; an older one is replaced")
    return parser.parse_args(argv)


def deviations(program: ExportedProgram, encoder: nn.Module, least: int) -> dict[str, float]:
    """Compare the program's features with the encoder's on random clouds; return the largest distance by shape.

    Distances are relative to the length of the encoder's feature.

    Args:
        least: fewest points of a cloud.
    """
    generator, module, found = torch.Generator().manual_seed(0), program.module(), {}
    for batch, more in SHAPES:
        points = torch.rand(batch, least + more, 3, generator=generator) - 0.5
        with eval_mode(encoder), torch.inference_mode():
            expected, feature = encoder(points), module(points)
        found[f"{batch} x {least + more}"] = float(((feature - expected).norm(dim=1) / expected.norm(dim=1)).max())
    return found


def main(args: argparse.Namespace) -> None:
    """Trace, read back, compare, write."""
    require_at_least(1, args, "k")
    if Path(args.out).is_dir():
        raise ValueError(f"--out {args.out} is a folder; name a file in it, such as {Path(args.out) / 'encoder.pt2'}")
    loaded = load_encoder(args.model_path, k=args.k)
    k = getattr(loaded.encoder, "k", None)
    digest = file_sha256(Path(args.model_path))
    print(f"encoder: {loaded.name}, k {k}, {args.model_path}, sha256 {digest}, {loaded.report}")
    origin = {"model": loaded.name, "k": k, "feature_dim": loaded.encoder.feature_dim, "checkpoint_sha256": digest}
    with io.BytesIO() as stream:
        torch.export.save(export_encoder(loaded.encoder), stream, extra_files={ORIGIN: json.dumps(origin)})
        content = stream.getvalue()
    found = deviations(torch.export.load(io.BytesIO(content)), loaded.encoder, max(k or 1, 2))
    for shape, deviation in found.items():
        print(f"check: {shape} points, deviation {deviation:.1e}")
    if not max(found.values()) <= TOLERANCE:
        raise ValueError(f"the exported program deviates by {max(found.values()):.1e}, more than {TOLERANCE:g}")
    write_atomically(Path(args.out), lambda file: file.write(content))
    print(f"wrote {args.out}: points (B, N, 3) float32 -> feature (B, {loaded.encoder.feature_dim})")


if __name__ == "__main__":
    run_main(main, parse_args())
