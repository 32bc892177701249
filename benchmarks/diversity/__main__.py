"""Compare how diverse sets of shapes are, by the spread of an encoder's features of their clouds.

    python -m benchmarks.diversity --random_init --sets real=h5/infomr69 built-in=data/shapes programs=data/programs
    python -m benchmarks.diversity --model_path checkpoints/mine/models/best_model.pth --sets real=... programs=...

The first set is the reference; its features give the mean and the deviation by which all are standardised. --shapes of
every set are drawn, of the reference as many again for the row "NAME, others": what a set of its own kind reaches.
Columns, all for equal numbers of shapes:
    nearest    mean distance of a shape to the nearest other of its set, relative to the reference
    deviation  root mean square distance from the mean of the set, relative to the reference
    rank       effective rank of the covariance: exp of the entropy of its shares of variance
    ratio      participation ratio of the covariance
    covered    share of reference shapes to which a shape of the set is nearer than any other reference shape, in %
    error      mean distance from a reference shape to the nearest of the set, relative to nearest of the reference
--turn turns every cloud by a random one of the 24 rotations of axes to axes: sets with other up-axes then compare.
"""

import argparse

import numpy as np

from benchmarks.diversity.cloud_sets import draw_clouds, parse_set, turned_at_random
from benchmarks.diversity.spread import (
    covered_share,
    effective_rank,
    nearest_distances,
    participation_ratio,
    total_deviation,
)
from utils import markdown
from utils.cli import run_main
from utils.evaluation.features import extract_features
from utils.evaluation.frozen_encoder import EncoderSettings, load_frozen_encoder
from utils.flags import add_device_arg, add_flags, program_parser, require_at_least
from utils.processes.device import get_device

COLUMNS = ("set", "nearest", "deviation", "rank", "ratio", "covered", "error")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="NAME=PATH", help="pre-training tree, or HDF5 files"
    )
    parser.add_argument("--shapes", type=int, default=400, help="of each set; of the first, the reference, twice that")
    parser.add_argument("--points", type=int, default=1024, help="of each cloud")
    parser.add_argument("--turn", action="store_true", help="turn each cloud at random, axes to axes")
    add_flags(parser, EncoderSettings, either=("model_path", "random_init"))
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    require_at_least(2, args, "shapes")
    require_at_least(1, args, "points")
    sets = [parse_set(text) for text in args.sets]
    if len({found.name for found in sets}) < len(sets):
        raise ValueError("--sets names two sets alike; give each a name of its own")
    device = get_device(args.device)
    frozen = load_frozen_encoder(EncoderSettings.read(vars(args)), device)
    print(f"{frozen.description}; {args.shapes} shapes of each set, {args.points} points, seed {args.seed}")
    rows: dict[str, np.ndarray] = {}
    for number, found in enumerate(sets):
        rng = np.random.default_rng((args.seed, number))
        clouds = draw_clouds(found, args.shapes * (1 if number else 2), args.points, rng)
        clouds = clouds[rng.permutation(len(clouds))]
        if args.turn:
            clouds = turned_at_random(clouds, rng)
        features = extract_features(frozen.encoder, clouds, progress=found.name).astype(np.float64)
        rows[found.name] = features[: args.shapes]
        if number == 0:
            rows[f"{found.name}, others"] = features[args.shapes :]
    print(spread_table(rows))


def spread_table(rows: dict[str, np.ndarray]) -> str:
    """Format the table; the first entry of `rows`, set name -> features (M, D), is the reference."""
    reference = next(iter(rows.values()))
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    is_alive = deviation > 1e-6 * deviation.max()
    scaled = {name: (row - mean)[:, is_alive] / deviation[is_alive] for name, row in rows.items()}
    reference = next(iter(scaled.values()))
    own_nearest, own_deviation = nearest_distances(reference).mean(), total_deviation(reference)
    lines = []
    for name, row in scaled.items():
        figures = [f"{nearest_distances(row).mean() / own_nearest:.2f}", f"{total_deviation(row) / own_deviation:.2f}"]
        figures += [f"{effective_rank(row):.1f}", f"{participation_ratio(row):.1f}"]
        if row is reference:
            figures += ["", ""]
        else:
            error = nearest_distances(reference, row).mean() / own_nearest
            figures += [f"{100 * covered_share(reference, row):.1f}", f"{error:.2f}"]
        lines.append([name, *figures])
    return markdown.table(COLUMNS, lines)


if __name__ == "__main__":
    run_main(main, parse_args())
