"""Draw rooms as a network of scripts.train_semseg segments them, beside the truth, from above.

    python -m scripts.plot_semseg checkpoints/s3dis --data_root S3DIS --out rooms.png

Reads models/best_model.pth of the run, and of the rooms that the run was scored on the first few. Grey points have no
class; what is more than 1.9 m above the floor, such as a ceiling, is not drawn.
"""

import argparse
from pathlib import Path

from datasets.scenes.room_sets import TEST, list_split, read_labelled
from utils.cli import run_main
from utils.figures.plot_style import save_png
from utils.figures.semseg_pictures import SegmentedRoom, segmentation_panel
from utils.flags import add_device_arg, default_data_root, program_parser, require_at_least
from utils.output_files import check_png_path
from utils.processes.device import get_device
from utils.run.names import BEST_MODEL
from utils.semseg.semseg_scores import load_room_network


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the run, the rooms and the picture."""
    parser = program_parser(__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run of scripts.train_semseg")
    parser.add_argument("--data_root", type=Path, default=default_data_root(), help="folder of the rooms")
    parser.add_argument("--first", type=int, default=0, help="number of the first room in the list of scored ones")
    parser.add_argument("--rooms", type=int, default=3, help="how many, from the first on")
    parser.add_argument("--votes", type=int, default=1, help="looks at a room, see scripts.train_semseg")
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Segment the rooms and draw them."""
    check_png_path(args.out)
    require_at_least(0, args, "first")
    require_at_least(1, args, "rooms", "votes")
    device = get_device(args.device)
    trained = load_room_network(args.run / BEST_MODEL)
    origin = trained.origin
    folders = list_split(args.data_root, origin["dataset"], TEST, origin["test_area"])
    chosen = folders[args.first : args.first + args.rooms]
    if not chosen:
        raise ValueError(f"--first {args.first}, but {args.data_root} has {len(folders)} rooms that {args.run} scores")
    drawn = []
    for folder in chosen:
        scene = read_labelled(folder, origin["dataset"])
        found = trained.probabilities(scene, device, votes=args.votes)
        drawn.append(SegmentedRoom(scene, found.argmax(dim=1).cpu().numpy()))
    save_png(segmentation_panel(drawn, origin["class_names"]), args.out, dpi=110)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    run_main(main, parse_args())
