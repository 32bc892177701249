"""Draw what a multi-view pre-training has learned of a few shapes: points and pixels in the colours of their features.

    python -m scripts.plot_pixels --run checkpoints/multiview --shape 03001627/chair_0_00000 04379243/table_0_00003

Reads the data that the run's config.json names, and writes pixel_points.png and pixel_points.npz, which scripts.report
shows, into the run's folder, as the training does at its end; with --out only the picture.
"""

import argparse
from pathlib import Path

from utils.cli import run_main
from utils.flags import program_parser
from utils.multiview.pixel_pictures import draw_panel, summary, write_pixel_points
from utils.multiview.pixel_points import compare_shapes, find_shapes, load_method, open_taught
from utils.output_files import check_png_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="its folder: checkpoints/<exp_name>")
    parser.add_argument(
        "--shape", nargs="+", default=[], metavar="NAME", help="<category>/<id>; default: the first of three categories"
    )
    parser.add_argument("--out", type=Path, help="PNG file; default: pixel_points.png in the run's folder")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    check_png_path(args.out)
    taught = open_taught(args.run)
    found = compare_shapes(load_method(taught, args.run), taught.items, find_shapes(taught.items.source, args.shape))
    print(summary(found))
    if args.out:
        draw_panel(found, args.out)
    else:
        write_pixel_points(args.run, found)
    print(f"wrote {args.out or args.run}")


if __name__ == "__main__":
    run_main(main, parse_args())
