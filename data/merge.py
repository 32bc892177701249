"""Make one tree for pre-training of several, by links to their folders: no cloud or picture is copied.

    python -m data.merge data/chairs data/games --out data/both

Below --out, ShapeNet/chairs__<synset> and ShapeNetRendering/chairs__<synset> are those of data/chairs and so on: shapes
of the same name stay apart. --out/merge.json says which class of its own tree each folder is; --out/captions.json holds
the captions of those trees that have some. The trees must stay where they are. Run it again after they have changed, or
with others.
"""

import argparse
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from datasets.layouts import CAPTIONS, CLOUDS, RENDERS
from datasets.shapes.merged_tree import MERGED, own_classes, read_record
from datasets.shapes.shape_tree import list_shapes
from datasets.texts.captions import load_captions
from utils.cli import run_main
from utils.files import write_text
from utils.output_files import check_output_folder
from utils.run.provenance import file_sha256


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="+", metavar="ROOT", help="folder of a tree, ROOT/ShapeNet/...")
    parser.add_argument("--out", type=Path, required=True, help="folder of the links; later passed as --data_root")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Check every tree, then replace the links, the record and the captions of an earlier call."""
    check_output_folder("--out", args.out)
    read_record(args.out)  # refuses a file of that name that another wrote
    roots = {root.resolve().name: root.resolve() for root in args.roots}
    if len(roots) < len(args.roots):
        names = [root.resolve().name for root in args.roots]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two of the trees are called {twice}: rename one, their shapes would get the same names")
    counts = {name: len(list_shapes(root)) for name, root in roots.items()}
    captions = {name: load_captions(root / CAPTIONS) for name, root in roots.items() if (root / CAPTIONS).is_file()}
    links = {part: _links_to(roots, part) for part in (CLOUDS, RENDERS)}
    earlier = [link for part in links for link in _earlier_links(args.out / part)]
    digest, note = _write_captions(args.out, roots, captions)
    classes = {}
    for name, root in roots.items():
        folders = {folder.name for own in links.values() for folder in own.values() if folder.parent.parent == root}
        of_origin = own_classes(root, sorted(folders))  # the tree may itself be one of links
        classes |= {_prefixed(name, folder): own for folder, own in of_origin.items()}
    record = {"classes": classes, "captions_sha256": digest}
    write_text(args.out / MERGED, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    for link in earlier:
        link.unlink()
    for part, own in links.items():
        (args.out / part).mkdir(parents=True, exist_ok=True)
        for link, folder in own.items():
            (args.out / part / link).symlink_to(folder)
    total = " + ".join(f"{count} of {name}" for name, count in counts.items())
    print(f"wrote {args.out}: {sum(counts.values())} shapes, {total}")
    print(note)


def _prefixed(tree: str, name: str) -> str:
    return f"{tree}__{name}"


def _links_to(roots: dict[str, Path], part: str) -> dict[str, Path]:
    """Return the folders of all trees by the names of their links."""
    return {
        _prefixed(name, folder.name): folder
        for name, root in roots.items()
        for folder in sorted(path for path in (root / part).iterdir() if path.is_dir())
    }


def _earlier_links(folder: Path) -> list[Path]:
    found = list(folder.iterdir()) if folder.is_dir() else []
    own = [path for path in found if not path.is_symlink()]
    if own:
        raise ValueError(f"{own[0]} is no link of data.merge: pass another --out, this folder holds a tree of its own")
    return found


def _write_captions(out: Path, roots: Collection[str], captions: dict[str, dict[str, Any]]) -> tuple[str | None, str]:
    """Replace the captions that an earlier call wrote by those of the trees; a file of anyone else stays.

    Returns:
        The digest of the file, None where this call wrote none, and a line on what was done.
    """
    path = out / CAPTIONS
    lacking = [name for name in roots if name not in captions]
    whose = f"{len(lacking)} of {len(roots)} trees have none ({', '.join(lacking)})"
    if path.is_file() and file_sha256(path) != read_record(out).get("captions_sha256"):
        return None, f"captions: {path} is not as data.merge writes it and is kept; delete it to get those of the trees"
    path.unlink(missing_ok=True)
    if not captions:
        return None, f"captions: {whose}"
    found = {_prefixed(tree, name): text for tree, texts in captions.items() for name, text in texts.items()}
    write_text(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return file_sha256(path), f"captions: of {len(captions)} trees" + (f"; {whose}" if lacking else "")


if __name__ == "__main__":
    run_main(main, parse_args())
