"""Segment a shape into parts, or a room into classes, by a trained network: a coloured cloud, and a picture of it.

    python -m scripts.segment chair.obj --model_path checkpoints/parts/models/best_model.pth --category chair \
        --out coloured.ply
    python -m scripts.segment room.ply --model_path checkpoints/s3dis/models/best_model.pth --out coloured.ply

Writes a PLY cloud with x, y, z as read (doubles far from the origin: centred), red, green, blue and part, a number that
its header explains, and coloured.png.
Every point gets a part of the category, which the network is told. Clouds are brought into the form of the training
clouds as the weights say; flags overrule that. Where a cloud has more points than those, each other point takes the
part of its nearest segmented one. --model and --k are for files of others; those of train_partseg.py say theirs.

With a network of scripts.train_semseg the file is a room: PLY or text with x, y, z in metres, z up, and red, green,
blue; or a folder of a scene of ScanNet or room of S3DIS. Its points get a label, a class of the data set. Flags of
shapes are refused then, and a room without colours is. A room of any size passes, in tiles.
"""

import argparse
from pathlib import Path

from datasets.parts.part_table import find_category
from models.encoders.part_networks import PART_NETWORKS
from models.weights.published import stored_origin
from models.weights.weight_file import read_weights
from utils.cli import run_main
from utils.figures.plot_style import save_png
from utils.flags import add_device_arg, add_flags, program_parser, require_at_least, weights_path
from utils.inference.cloud_files import InputSettings, read_clouds
from utils.inference.coloured_ply import write_coloured
from utils.parts.part_pictures import coloured_panel, part_colours, rgb_bytes
from utils.parts.part_scores import segment_cloud
from utils.parts.part_weights import load_part_network
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device
from utils.semseg.room_segmentation import segment_room
from utils.semseg.semseg_weights import ROOMS

PUBLISHED = {"model": "dgcnn_seg", "k": 40}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the file, of the network and of the cloud."""
    parser = program_parser(__doc__)
    parser.add_argument("file", type=Path, help="a mesh or a cloud; a room: see above")
    parser.add_argument(
        "--model_path",
        type=weights_path,
        required=True,
        help="models/best_model.pth of train_partseg.py, or a .safetensors of it by scripts.export; for rooms "
        "models/best_model.pth of scripts.train_semseg",
    )
    parser.add_argument("--category", default="", help="of the shape (default: the one trained on, if it is one alone)")
    parser.add_argument("--out", type=Path, required=True, help="coloured.ply; the picture is beside it, .png")
    parser.add_argument("--model", choices=tuple(PART_NETWORKS), help="default: what the file says, else dgcnn_seg")
    parser.add_argument("--k", type=int, help="neighbours per point (default: what the file says, else 40)")
    add_flags(parser, InputSettings, "cloud")
    add_device_arg(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Read, segment, write; refuse bad flags before the network runs."""
    settings = InputSettings.read(vars(args))
    require_at_least(1, args, "k")
    if args.out.suffix.lower() != ".ply" or args.out.is_dir():
        raise ValueError(f"--out {args.out}: expected a file .ply, such as coloured.ply")
    picture = args.out.with_suffix(".png")
    if args.out.resolve() == args.file.resolve():
        raise ValueError(f"--out {args.out} is the input itself; name another file")
    if args.file.is_dir() and args.out.resolve().is_relative_to(args.file.resolve()):
        raise ValueError(f"--out {args.out} lies in {args.file}, among the files of the input; name another folder")
    if picture.exists() and not args.out.exists():
        raise ValueError(f"--out {args.out}: its picture would replace {picture}; name another file")
    stored = stored_origin(read_weights(args.model_path))
    if ROOMS in stored:
        refuse_flags_of_shapes(args)
        segment_room(args.file, args.model_path, args.out, get_device(args.device))
        return
    known = {name: stored.get(name) or value for name, value in PUBLISHED.items()}
    trained = load_part_network(args.model_path, args.model or known["model"], args.k or known["k"])
    table = trained.task.known
    if not args.category and len(table) > 1:
        raise ValueError(f"--category is missing: this network knows {', '.join(row.name for row in table)}")
    index = find_category(table, args.category, "--category") if args.category else 0
    clouds = list(read_clouds(args.file, seed=settings.seed))
    if len(clouds) != 1:
        raise ValueError(f"{args.file} holds {len(clouds)} clouds; expected a file of one")
    device = get_device(args.device)
    keep_freed_memory(device)
    transform = settings.transform(stored)
    row, cloud = table[index], clouds[0]
    drawn_by = None if cloud.is_row else settings.seed
    try:
        chosen, words = transform(cloud.points, seed=drawn_by)
        part = segment_cloud(trained.network.to(device), chosen, index, row, device)
    except ValueError as error:  # no extent, or fewer points than neighbours
        raise ValueError(f"{args.file}: {error}") from error
    print(f"network: {args.model_path}; cloud: {cloud.how}, {words} ({transform.reason})")
    part = transform.spread(part, cloud.points, seed=drawn_by)
    colours = rgb_bytes(part_colours(part + row.first_part, row.part_labels))
    write_coloured(args.out, cloud.points, colours, part, row.parts)
    upright = transform.upright(cloud.points)
    save_png(coloured_panel(upright, part, row), picture, dpi=130)
    for number, name in enumerate(row.parts):
        print(f"{row.name} {name}: {(part == number).mean():.1%} of {len(part)} points")
    print(f"wrote {args.out} and {picture}")


def refuse_flags_of_shapes(args: argparse.Namespace) -> None:
    """Refuse flags that a network of rooms has no use for."""
    plain = vars(parse_args([str(args.file), "--model_path", str(args.model_path), "--out", str(args.out)]))
    given = [name for name, value in vars(args).items() if name != "device" and value != plain[name]]
    if given:
        raise ValueError(f"--{given[0]} is for shapes; {args.model_path} is a network of rooms: leave it out")


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
