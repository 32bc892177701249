"""Export weights in another format, with a card beside them that says what they are.

    python -m scripts.export --model_path checkpoints/crosspoint/models/best_model.pth --out encoder.pt2
    python -m scripts.export --model_path checkpoints/crosspoint/models/best_model.pth --format onnx
    python -m scripts.export --model_path checkpoints/ft/models/best_model.pth --format safetensors \
        --scores checkpoints/ft/results.json

safetensors holds every tensor of the file, also of a network fine-tuned for classes or parts, and every program here
reads it in its place; networks of rooms are not taken.
pt2 and onnx hold an encoder as a program for a CPU, which needs no code of this repository: points (B, N, 3) float32,
any B, any N of at least k -> features (B, D). `torch.export.load("encoder.pt2").module()(points)` runs the first,
onnxruntime the second. y is up, and clouds should be as the card's `transform` says.

What was made is first read back and compared: safetensors bit by bit, the programs with the encoder on three numbers
and sizes of random clouds, within 1e-5 but for clouds in which float32 leaves the choice of a neighbour open (see
docs/your_data.md). Files are written only if they agree. Beside FILE stands FILE.json, the card: task, method, data,
settings, transform, scores with their seeds (those in benchmarks/accuracies.csv, in --scores and in cards of the same
weights beside FILE), licence.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.weights.export import export_encoder
from models.weights.program_file import ONNX_SUFFIX, PROGRAM_SUFFIX, onnx_bytes, onnx_encoder, program_bytes
from models.weights.program_file import program_encoder as read_program
from models.weights.published import PretrainedEncoder, export_state, load_encoder
from models.weights.safe_file import SUFFIX as SAFE_SUFFIX
from models.weights.safe_file import check_same, safe_bytes
from models.weights.weight_file import read_weights
from utils.cli import run_main
from utils.evaluation.features import eval_mode
from utils.files import write_atomically, write_text
from utils.flags import program_parser, require_at_least, weights_path
from utils.results.weight_card import weight_card

SUFFIXES = {"safetensors": SAFE_SUFFIX, "pt2": PROGRAM_SUFFIX, "onnx": ONNX_SUFFIX}
# Numbers of clouds, and of points beyond the fewest possible, in each check.
SHAPES = ((1, 0), (2, 1024), (7, 256))
# Rounding explains deviations up to 1e-6. Where float32 cannot tell two distances apart, either point is a neighbour,
# which moved a cloud's feature by up to 1.4e-2, here and in torch itself: docs/your_data.md. Wrong weights cause 0.1.
ROUNDING, OTHER_NEIGHBOURS = 1e-5, 3e-2


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the weights and of the file."""
    parser = program_parser(__doc__)
    parser.add_argument("--model_path", type=weights_path, required=True, help="weights: of a run here, or published")
    parser.add_argument("--k", type=int, help="neighbours per point (default: what the checkpoint says, else 15)")
    parser.add_argument("--format", choices=tuple(SUFFIXES), help="default: as the suffix of --out says, else pt2")
    parser.add_argument("--out", type=Path, help="file to write, replacing an older one (default: beside the weights)")
    parser.add_argument(
        "--scores", type=Path, nargs="+", default=[], metavar="JSON", help="reports of these weights, for the card"
    )
    parser.add_argument("--licence", default="", help="for the card (default: of an earlier card, else what is known)")
    return parser.parse_args(argv)


def choose_file(args: argparse.Namespace) -> tuple[str, Path]:
    """Return format and path of the file to write.

    Raises:
        ValueError: --out is a folder, the weights themselves, or has the suffix of another format or, without --format,
            of none.
    """
    by_suffix = {suffix: name for name, suffix in SUFFIXES.items()}
    given = args.out.suffix.lower() if args.out else ".pt2"
    chosen = args.format or by_suffix.get(given)
    out = args.out or args.model_path.with_suffix(SUFFIXES[chosen])
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; name a file in it, such as {out / 'encoder.pt2'}")
    if out.resolve() == args.model_path.resolve():
        raise ValueError(f"--out {out} is --model_path itself; name another file")
    if chosen is None:
        raise ValueError(f"--out {out}: expected one of {', '.join(by_suffix)}, or --format")
    if args.out and by_suffix.get(given, chosen) != chosen:
        raise ValueError(f"--out {out} has the suffix of --format {by_suffix[given]}, got --format {chosen}")
    return chosen, out


def deviations(
    compute: Callable[[Tensor], Tensor], reference: Callable[[Tensor], Tensor], least: int
) -> dict[str, Tensor]:
    """Compare features of random clouds; return each cloud's distance over the length of the reference, by shape.

    Args:
        least: fewest points of a cloud.
    """
    generator, found = torch.Generator().manual_seed(0), {}
    for batch, more in SHAPES:
        points = torch.rand(batch, least + more, 3, generator=generator) - 0.5
        with torch.inference_mode():
            expected, feature = reference(points), compute(points)
        found[f"{batch} x {least + more}"] = (feature - expected).norm(dim=1) / expected.norm(dim=1)
    return found


def check(what: str, found: dict[str, Tensor], *, has_neighbours: bool) -> None:
    """Print deviations by shape; refuse those that rounding, and in some clouds other neighbours, do not explain.

    Args:
        has_neighbours: whether the encoder searches neighbours; otherwise every cloud must agree up to rounding.
    Raises:
        ValueError: more than half of the clouds of a shape are above ROUNDING, or one above OTHER_NEIGHBOURS.
    """
    for shape, by_cloud in found.items():
        usual, largest = float(by_cloud.median()), float(by_cloud.max())
        if not (usual <= ROUNDING and largest <= (OTHER_NEIGHBOURS if has_neighbours else ROUNDING)):
            raise ValueError(f"the exported {what} deviates by {largest:.1e} on {shape} points, more than {ROUNDING:g}")
        line = f"check: {shape} points, {what} deviates by {usual:.1e}"
        if largest > ROUNDING:
            line += f", in {int((by_cloud > ROUNDING).sum())} of {len(by_cloud)} clouds by up to {largest:.1e}"
        print(line)


def export_program(encoder: nn.Module, card: dict[str, Any], *, is_onnx: bool) -> bytes:
    """Trace an encoder, check what was traced, and return the content of its file."""
    least = max(card["k"] or 1, 2)
    traced = export_encoder(encoder)
    content = program_bytes(traced, card)
    program = read_program(content)
    has_neighbours = card["k"] is not None
    with eval_mode(encoder):
        check("program", deviations(program, encoder, least), has_neighbours=has_neighbours)
    if is_onnx:
        content = onnx_bytes(traced, card)
        check("ONNX graph", deviations(onnx_encoder(content), program, least), has_neighbours=has_neighbours)
    return content


def export_tensors(args: argparse.Namespace, loaded: PretrainedEncoder, card: dict[str, Any]) -> bytes:
    """Return the content of a safetensors file with all tensors of the weights, of a last.pt those of the encoder."""
    state = read_weights(args.model_path)
    if "method" in state:
        state = export_state(loaded.encoder, loaded.name, loaded.head)
    origin = loaded.stored | {"model": loaded.name} | ({"k": args.k} if args.k else {})
    content = safe_bytes(state, origin, card)
    check_same(content, state)
    print(f"check: {len(state)} tensors, all equal")
    return content


def main(args: argparse.Namespace) -> None:
    """Load, export, read back, compare, write."""
    require_at_least(1, args, "k")
    chosen, out = choose_file(args)
    loaded = load_encoder(args.model_path, k=args.k)
    card = weight_card(args.model_path, loaded, reports=args.scores, licence=args.licence, beside=out.parent)
    card["format"] = chosen
    digest = card["checkpoint_sha256"]
    print(f"encoder: {loaded.name}, k {card['k']}, {args.model_path}, sha256 {digest}, {loaded.report}")
    if chosen == "safetensors":
        content = export_tensors(args, loaded, card)
    else:
        content = export_program(loaded.encoder, card, is_onnx=chosen == "onnx")
    write_atomically(out, lambda file: file.write(content))
    write_text(out.with_name(f"{out.name}.json"), json.dumps(card, indent=2) + "\n")
    print(f"wrote {out}.json: the card")
    ending = "tensors" if chosen == "safetensors" else f"points (B, N, 3) float32 -> feature (B, {card['feature_dim']})"
    print(f"wrote {out}: {ending}")


if __name__ == "__main__":
    run_main(main, parse_args())
