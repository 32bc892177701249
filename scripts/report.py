"""Show one or more runs on one HTML page that needs no network: tables, curves, maps, clouds to turn.

    python -m scripts.report checkpoints/quickstart
    python -m scripts.report checkpoints/partseg_scratch checkpoints/partseg_pretrained --out partseg.html

Shows what a run's folder holds: config.json, metrics.jsonl, every *.json with results, tsne.npz (scripts.plot_tsne),
predictions.npz (scripts.finetune_cls), part_clouds.npz (train_partseg.py), pixel_points.npz
(scripts.pretrain_multiview), room_clouds.npz (scripts.train_semseg), retrieval.png (scripts.retrieve).
"""

import argparse
from pathlib import Path

from utils.cli import run_main
from utils.files import write_text
from utils.flags import program_parser
from utils.page.page import build_page


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN", help="folder of a run: checkpoints/<exp_name>")
    parser.add_argument("--out", type=Path, help="HTML file; default: report.html in the folder of the first run")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    out = args.out or args.run_dirs[0] / "report.html"
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; name a file in it, such as {out / 'report.html'}")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out {out}: the page is written as HTML; name it {out.with_suffix('.html').name}")
    page = build_page(args.run_dirs)
    write_text(out, page)
    print(f"wrote {out}, {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run_main(main, parse_args())
