"""A folder of two meshes, and runs of data.render_views on it."""

from pathlib import Path

import trimesh

from data import render_views

FLAGS = ("--views", "2", "--size", "21", "--points", "97", "--workers", "1")


def write_meshes(folder: Path) -> Path:
    """Write box.off and round/ball.stl; return the folder."""
    (folder / "round").mkdir(parents=True)
    trimesh.creation.box(extents=(1, 2, 3)).export(folder / "box.off")
    trimesh.creation.icosphere(subdivisions=1).export(folder / "round" / "ball.stl")
    return folder


def render(*arguments: object) -> int:
    """Run the program with few, small views; return its exit status."""
    return render_views.main(render_views.parse_args([*map(str, arguments), *FLAGS]))


def contents(out: Path) -> dict[str, bool | bytes]:
    """Return the content of every file; that of zip archives, which hold the time, without it."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): path.suffix == ".npz" or path.read_bytes() for path in files}
