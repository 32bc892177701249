"""Draw a few pre-training shapes: the cloud, two augmentations as training sees them, a view.

python -m scripts.plot_shapes data/shapes --out shapes.png
"""

import argparse
from pathlib import Path

from utils.cli import run_main
from utils.figures.cloud_plots import shape_panel
from utils.figures.plot_style import save_png
from utils.figures.shape_samples import ROW_NAMES, sample_columns
from utils.flags import program_parser, seed_number
from utils.output_files import check_png_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("data_root", type=Path, help="folder that holds ShapeNet/ and ShapeNetRendering/")
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--num_shapes", type=int, default=8, help="columns, of as many categories as there are")
    parser.add_argument("--seed", type=seed_number, default=0, help="of the choice of shapes, augmentations and views")
    args = parser.parse_args(argv)
    if args.num_shapes < 1:
        parser.error(f"--num_shapes must be at least 1, got {args.num_shapes}")
    return args


def main(args: argparse.Namespace) -> None:
    check_png_path(args.out)
    columns = sample_columns(args.data_root, num_shapes=args.num_shapes, seed=args.seed)
    save_png(shape_panel(columns, ROW_NAMES), args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    run_main(main, parse_args())
