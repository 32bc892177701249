"""Make one tree for pre-training of several, by links to their folders: nothing is copied.

    python -m data.merge data/chairs data/games --out data/both

Below --out, ShapeNet/chairs__<synset> and ShapeNetRendering/chairs__<synset> are those of data/chairs and so on: shapes
of the same name stay apart. The trees must stay where they are. Run it again after they have changed, or with others.
"""

import argparse
from pathlib import Path

from datasets.layouts import CLOUDS, RENDERS
from datasets.shapes.shape_tree import list_shapes
from utils.cli import run_main


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="+", metavar="ROOT", help="folder of a tree, ROOT/ShapeNet/...")
    parser.add_argument("--out", type=Path, required=True, help="folder of the links; later passed as --data_root")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Check every tree, then replace the links of an earlier call."""
    roots = {root.resolve().name: root.resolve() for root in args.roots}
    if len(roots) < len(args.roots):
        names = [root.resolve().name for root in args.roots]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two of the trees are called {twice}: rename one, their shapes would get the same names")
    counts = {name: len(list_shapes(root)) for name, root in roots.items()}
    for part in (CLOUDS, RENDERS):
        _replace_links(args.out / part, roots, part)
    total = " + ".join(f"{count} of {name}" for name, count in counts.items())
    print(f"wrote {args.out}: {sum(counts.values())} shapes, {total}")


def _replace_links(folder: Path, roots: dict[str, Path], part: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = list(folder.iterdir())
    own = [path for path in found if not path.is_symlink()]
    if own:
        raise ValueError(f"{own[0]} is no link of data.merge: pass another --out, this folder holds a tree of its own")
    for link in found:
        link.unlink()
    for name, root in roots.items():
        for synset in sorted(path for path in (root / part).iterdir() if path.is_dir()):
            (folder / f"{name}__{synset.name}").symlink_to(synset)


if __name__ == "__main__":
    run_main(main, parse_args())
