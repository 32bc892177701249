"""Label a folder of meshes by a list of class names: no label is needed, and a person's corrections are learned from.

    python -m scripts.label_shapes MESH_DIR --classes chair,table,"floor lamp" \
        --towers checkpoints/aligned/models/towers_best.pth --out labels/
    python -m scripts.label_shapes MESH_DIR --classes chair,table,"floor lamp" \
        --towers checkpoints/aligned/models/towers_best.pth --out labels/ --correct corrected.csv

Renders every mesh, classifies it from its cloud and all views by towers of scripts.align_text, self-trains these on the
folder itself (--steps 0 leaves that out), and classifies again. Writes below --out
    labels.csv     file, class, confidence, second, second_confidence, decided_by, correct
    sheet.png      pictures by class, the surest first; the uncertain ones have a frame
    labels.html    a page with what is uncertain on top, on which classes can be corrected and saved
--correct takes such a file, or any CSV with the columns file and correct: these classes are fixed, and the training
learns them. Each run is a round: results of the one before are moved to rounds/<number>/. Interrupted, the same command
goes on. A mesh that cannot be read is named, the others are labelled, and the exit status is 1. decided_by says which
modality gives this class on its own: both, points, images, or neither, where only their sum does; or a person.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from datasets.shapes.mesh_files import MeshFile, find_meshes
from datasets.shapes.shape_folder import ShapeFile
from utils import seed
from utils.cli import run_main
from utils.figures.class_sheet import Tile, class_sheet, save_sheet
from utils.files import write_text
from utils.flags import add_device_arg, add_flags, program_parser
from utils.output_files import check_output_folder
from utils.page.label_page import MOST_SHOWN, build_label_page, by_doubt
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device
from utils.settings import Settings, flag
from utils.texts.folder_labelling import LabelSettings, classify, self_train
from utils.texts.label_folder import LabelFolder
from utils.texts.self_training_data import SelfTrainingSettings, load_start
from utils.texts.shape_labels import ShapeLabel, label_rows, read_corrections, write_labels

UNSURE = 0.5  # confidence below which a picture gets a frame
REPO = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class RenderSettings(Settings):
    """How meshes are rendered, see data.render_views."""

    views: int = flag(8, "pictures of each mesh", at_least=1)
    size: int = flag(112, "height and width of a picture in pixels; at least those of the towers", at_least=16)
    up: str = flag("y", "up-axis of the meshes", choices=("y", "z"))
    workers: int = flag(os.cpu_count() or 1, "processes that render", at_least=1)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags of the folder, of rendering, towers and self-training."""
    parser = program_parser(__doc__)
    parser.add_argument("mesh_dir", type=Path, metavar="MESH_DIR", help="folder of meshes, searched at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, not inside MESH_DIR")
    parser.add_argument("--correct", type=Path, metavar="CSV", help="classes that a person has corrected")
    add_device_arg(parser)
    add_flags(parser, LabelSettings, "shapes and training")
    add_flags(parser, RenderSettings, "rendering")
    add_flags(parser, SelfTrainingSettings, "towers, classes and self-training")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    """Render, classify, self-train, write; refuse bad flags before anything is rendered."""
    settings, rendering, own = (kind.read(vars(args)) for kind in (LabelSettings, RenderSettings, SelfTrainingSettings))
    if own.labels in ("image", "points") and settings.steps:
        raise ValueError(f"--labels {own.labels} trains one of the towers, and both label the shapes; take another")
    if args.out.resolve().is_relative_to(args.mesh_dir.resolve()):
        raise ValueError(f"--out {args.out} is inside {args.mesh_dir}: its clouds would be taken for meshes next time")
    check_output_folder("--out", args.out)
    place, device = LabelFolder(args.out), get_device(args.device)
    meshes, unreadable = find_meshes(args.mesh_dir)
    files = [mesh.path.relative_to(args.mesh_dir).as_posix() for mesh in meshes]
    keep_freed_memory(device)
    seed.everything(settings.seed)
    towers = load_start(own).to(device)
    given = read_corrections(args.correct, files, towers.class_names) if args.correct else {}
    size = max(rendering.size, towers.image_size)
    shapes = render(args.mesh_dir, place, meshes, rendering, size=size, num_points=max(2048, settings.num_points))
    labelled = [files[number] for number in shapes]
    given_shapes = {shapes[number].name: given[files[number]] for number in shapes if files[number] in given}
    first = classify(towers, list(shapes.values()), settings)
    labels = label_rows(labelled, first, towers.class_names, given)
    notes = [f"{len(labels)} shapes, {len(towers.class_names)} classes: {', '.join(towers.class_names)}"]
    if len(shapes) == 1 and settings.steps:
        notes.append("a single shape: there is nothing to train on")
    elif settings.steps:
        options = {"num_shapes": len(shapes), "device": device}
        adapted = self_train(towers, own, settings, place, given_shapes, **options)
        before = labels
        labels = label_rows(
            labelled, classify(adapted.towers, list(shapes.values()), settings), towers.class_names, given
        )
        changed = sum(old.name != new.name for old, new in zip(before, labels))
        notes.append(f"{adapted.note}: {changed} classes differ from those before it")
    write(place, str(args.mesh_dir), labels, list(shapes.values()), towers.class_names, notes)
    failed = [*unreadable, *(f"{file} (see above)" for number, file in enumerate(files) if number not in shapes)]
    for message in failed:
        sys.stderr.write(f"left out: {message}\n")
    return 1 if failed else 0


def render(
    mesh_dir: Path, place: LabelFolder, meshes: list[MeshFile], settings: RenderSettings, *, size: int, num_points: int
) -> dict[int, ShapeFile]:
    """Render what is not rendered yet, or has changed since; return the shapes by the number of their mesh.

    Raises:
        ValueError: nothing can be rendered.
    """
    place.drop_outdated(meshes)
    words = [mesh_dir.resolve(), "--out", place.rendered.resolve(), "--views", settings.views, "--size", size]
    words += ["--points", num_points, "--up", settings.up, "--workers", settings.workers]
    command = [sys.executable, "-m", "data.render_views", *map(str, words)]
    status = subprocess.run(command, cwd=REPO).returncode
    if status not in (0, 1):
        raise ValueError(f"{mesh_dir} could not be rendered, for the reason above")
    shapes = place.find_rendered(meshes)
    if not shapes:
        raise ValueError(f"none of the {len(meshes)} meshes of {mesh_dir} could be read, for the reasons above")
    return shapes


def write(
    place: LabelFolder,
    title: str,
    labels: list[ShapeLabel],
    shapes: list[ShapeFile],
    names: list[str],
    notes: list[str],
) -> None:
    """Keep the results of the round before, then write those of this one, the CSV file last."""
    order = by_doubt(labels)
    tiles = {name: _tiles(name, labels, shapes, order) for name in names}
    sheet = class_sheet(tiles, f"framed: confidence below {UNSURE:.0%}")
    pictures = {row: _spread(shapes[row].views) for row in order[:MOST_SHOWN]}
    page = build_label_page(title, labels, pictures, names, notes)
    if kept := place.keep_earlier():
        print(f"moved the results of the round before to {kept}")
    write_text(place.path / "labels.html", page)
    save_sheet(sheet, place.path / "sheet.png")
    write_labels(place.csv, labels)
    for line in notes:
        print(line)
    for name in names:
        print(f"{name}: {sum(label.name == name for label in labels)}")
    print(f"wrote {place.csv}, sheet.png and labels.html; correct classes on the page and pass them as --correct")


def _tiles(name: str, labels: list[ShapeLabel], shapes: list[ShapeFile], order: list[int]) -> list[Tile]:
    found = [(labels[row], shapes[row]) for row in reversed(order) if labels[row].name == name]
    is_one_name = len({Path(label.file).stem for label in labels}) == 1  # such as model.obj, in folders of their own
    titles = [Path(label.file).parent.name if is_one_name else Path(label.file).stem for label, _ in found]
    return [
        Tile(shape.views[0], f"{label.confidence:.0%} {title}", label.confidence < UNSURE)
        for (label, shape), title in zip(found, titles)
    ]


def _spread(views: tuple[Path, ...]) -> list[Path]:
    """Return the first view, and one from about a quarter of the way round."""
    return [views[0], views[-(-len(views) // 4) % len(views)]]


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
