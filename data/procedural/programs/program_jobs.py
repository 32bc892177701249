"""Jobs of the worker processes: write an object of a random program for pre-training."""

from pathlib import Path
from typing import NamedTuple

from data.procedural.programs.numbered_programs import group_of, make_program, program_rng
from data.rendering.orbit import orbit_cameras
from data.rendering.pair_writer import add_pairs, has_pairs
from data.rendering.shape_renders import render_shape
from data.rendering.shape_writer import is_finished
from datasets.shapes.meshes import sample_surface

NUM_POINTS = 2048
_SAMPLE, _VIEWS = 1, 2  # independent random streams of an object, by purpose


class ProgramJob(NamedTuple):
    """An object whose cloud and renders go below `out`."""

    out: Path
    seed: int
    number: int
    num_views: int
    size_px: int
    with_pairs: bool

    @property
    def place(self) -> tuple[Path, str, str]:
        """Root, group and id of the object."""
        group = group_of(self.seed, self.number)
        return self.out, group, f"{group}_{self.seed}_{self.number:06d}"

    @property
    def is_done(self) -> bool:
        """Whether all of its files are there."""
        return is_finished(*self.place) and (not self.with_pairs or has_pairs(*self.place))


def run_program(job: ProgramJob) -> bool:
    """Write what an object lacks: all of it, its pairs or nothing. Return whether it was anything."""
    if job.is_done:
        return False
    mesh, place = make_program(job.seed, job.number).mesh, job.place
    if is_finished(*place):
        add_pairs(*place, mesh)
        return True
    points, _ = sample_surface(mesh, NUM_POINTS, program_rng(job.seed, job.number, _SAMPLE))
    cameras = orbit_cameras(job.num_views, job.size_px, program_rng(job.seed, job.number, _VIEWS))
    render_shape(*place, mesh, points, cameras, with_pairs=job.with_pairs)
    return True
