"""Draw rooms on one sheet: each from above in its colours and by class, and some of its frames with their depth.

    python -m scripts.plot_rooms --data_root data/rooms --out rooms.png

Reads the layouts of ScanNet, S3DIS and SUN RGB-D as VoteNet prepares it. Red pixels of a depth map are holes.
"""

import argparse
from pathlib import Path

from datasets.scenes.s3dis_rooms import list_rooms, read_room
from datasets.scenes.scannet_frames import SceneFrames
from datasets.scenes.scannet_scans import list_scans, read_scan
from datasets.scenes.scene_classes import S3DIS_CLASSES, SCANNET_CLASSES, SUNRGBD_CLASSES
from datasets.scenes.sunrgbd_scenes import list_prepared, prepared_folder, read_prepared
from utils.cli import run_main
from utils.figures.contact_sheet import Cell, contact_sheet
from utils.figures.plot_style import save_png
from utils.figures.room_pictures import room_cells
from utils.flags import default_data_root, program_parser, require_at_least
from utils.output_files import check_png_path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = program_parser(__doc__)
    parser.add_argument("--data_root", type=Path, default=default_data_root(), help="folder of the rooms")
    parser.add_argument("--dataset", choices=tuple(_ROWS), default="scannet")
    parser.add_argument("--first", type=int, default=0, help="number of the first room in the sorted list")
    parser.add_argument("--rooms", type=int, default=4, help="how many, from the first on")
    parser.add_argument("--frames", type=int, default=3, help="of each room, evenly along its path (ScanNet only)")
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    check_png_path(args.out)
    require_at_least(0, args, "first")
    require_at_least(1, args, "rooms", "frames")
    rows = _ROWS[args.dataset](args.data_root, slice(args.first, args.first + args.rooms), args.frames)
    if not rows:
        raise ValueError(f"--first {args.first}: {args.data_root} has fewer rooms in the layout of {args.dataset}")
    save_png(contact_sheet(rows), args.out, dpi=150)
    print(f"wrote {args.out}")


def _scannet(root: Path, chosen: slice, num_frames: int) -> list[list[Cell]]:
    rows = []
    for folder in list_scans(root)[chosen]:
        frames = SceneFrames(folder) if (folder / "depth").is_dir() else None
        rows.append(room_cells(read_scan(folder), frames, num_frames, SCANNET_CLASSES))
    return rows


def _s3dis(root: Path, chosen: slice, num_frames: int) -> list[list[Cell]]:
    return [room_cells(read_room(folder), None, num_frames, S3DIS_CLASSES) for folder in list_rooms(root)[chosen]]


def _sunrgbd(root: Path, chosen: slice, num_frames: int) -> list[list[Cell]]:
    folder = prepared_folder(root, "train")
    scenes = [read_prepared(folder, scene_id) for scene_id in list_prepared(folder)[chosen]]
    return [room_cells(scene, None, num_frames, SUNRGBD_CLASSES) for scene in scenes]


_ROWS = {"scannet": _scannet, "s3dis": _s3dis, "sunrgbd": _sunrgbd}

if __name__ == "__main__":
    run_main(main, parse_args())
