"""A pre-training program without its method: settings, data, run, training and the final scores.

The entry program of a method adds its own settings and builds the method; see train_crosspoint.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from datasets.transforms.point_transforms import PointAugment
from models.distributed import get_world_size
from models.encoders.registry import ENCODERS, MAX_EMB_DIMS, check_neighbours, has_graph, published_width
from models.methods.method import Method
from models.weights.published import PretrainedEncoder, load_encoder
from utils import seed
from utils.evaluation.encoder_scores import ProtocolSettings, score_encoder
from utils.evaluation.frozen_encoder import EncoderSettings, FeatureSettings, load_frozen_encoder
from utils.evaluation.json_report import write_report
from utils.pretraining.monitor import MonitorSettings, find_monitor
from utils.pretraining.pair_loader import AugmentSettings, PairSettings, build_loader, build_transform
from utils.pretraining.pretrainer import Pretrainer, PretrainSettings
from utils.processes.collectives import is_main_process
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, goes_on, open_run
from utils.run.names import BEST_MODEL, RESULTS_FILE
from utils.settings import Settings, flag, record
from utils.training.bad_samples import BadSampleSettings
from utils.training.engine import Batches, BatchTransform
from utils.training.shard_loader import ShardSettings

Report = Callable[[str], None]


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The point encoder and the weights it starts from."""

    model: str = flag("dgcnn", "point encoder", choices=tuple(ENCODERS))
    k: int = flag(20, "neighbours per point in DGCNN's graphs; published runs use 15", at_least=1)
    emb_dims: int | None = flag(
        None, "width of the encoder's embedding (default: the published one)", at_least=1, at_most=MAX_EMB_DIMS
    )
    dropout: float | None = flag(None, "ignored: pre-training has no dropout", is_free=True)
    model_path: str = flag("", "encoder weights to start from, or to evaluate with --eval")
    eval: bool = flag(False, "only evaluate: --model_path, else the run's best model", is_free=True)

    @classmethod
    def read(cls, flags: Mapping[str, Any]) -> Self:
        """Read the flags; a width left open is the published one of the encoder.

        Raises:
            ValueError: a value out of bounds, named by its flag.
        """
        width = published_width(flags["model"]) if flags["emb_dims"] is None else flags["emb_dims"]
        return super().read({**flags, "emb_dims": width})

    @property
    def notes(self) -> list[str]:
        """Lines on flags of published command lines that have no effect."""
        given = self.dropout is not None
        return [f"--dropout {self.dropout:g} has no effect: pre-training has no dropout"] if given else []


class PretrainingSettings(NamedTuple):
    """The settings that every pre-training program has."""

    run: RunSettings
    model: ModelSettings
    training: PretrainSettings
    pairs: PairSettings
    augment: AugmentSettings
    shards: ShardSettings
    bad_samples: BadSampleSettings
    monitor: MonitorSettings
    processes: ProcessSettings


OpenData = Callable[[PretrainingSettings, torch.device], tuple[Batches, BatchTransform | None]]
# The same, by their heading in --help.
FLAG_GROUPS: dict[str, type[Settings]] = {
    "run": RunSettings,
    "encoder": ModelSettings,
    "training": PretrainSettings,
    "data": PairSettings,
    "augmentation": AugmentSettings,
    "shards": ShardSettings,
    "bad data": BadSampleSettings,
    "scores on labelled data": MonitorSettings,
    "device and processes": ProcessSettings,
}


def load_start(common: PretrainingSettings, report: Report) -> PretrainedEncoder | None:
    """Load the encoder of --model_path; report where it was trained with another k.

    Returns:
        None where there is no --model_path, and where the run goes on from a state, which holds the weights.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of another encoder or width.
    """
    model = common.model
    if not model.model_path or goes_on(common.run):
        return None
    loaded = load_encoder(model.model_path, model.model, model.k, model.emb_dims)
    if has_graph(model.model) and loaded.stored_k not in (None, model.k):
        report(f"warning: {model.model_path} was trained with k {loaded.stored_k}, this run has --k {model.k}")
    return loaded


def open_pairs(
    common: PretrainingSettings,
    pin_memory: bool,
    *,
    with_images: bool = True,
    views: int = 1,
    compose: float = 0.0,
    more_clouds: Mapping[str, PointAugment] | None = None,
) -> tuple[Batches, BatchTransform | None]:
    """Open the loader of pairs, and the augmentation of whole batches where --augment device asks for it.

    Args:
        with_images: False leaves images out, and needs none.
        views: images of an item, different views of its shape.
        compose: probability that an item is of several shapes, see RenderPairs.
        more_clouds: of an item, beside aug_a and aug_b, and what makes each.
    """
    seed_of_run, pairs, augment = common.training.seed, common.pairs, common.augment
    clouds = augment.clouds | dict(more_clouds or {})
    options = {"seed": seed_of_run, "with_images": with_images, "views": views, "compose": compose, "clouds": clouds}
    loader = build_loader(pairs, augment, common.shards, common.bad_samples, pin_memory=pin_memory, **options)
    return loader, build_transform(pairs, augment, clouds, seed_of_run)


def _open_pairs(
    common: PretrainingSettings, device: torch.device, *, with_images: bool
) -> tuple[Batches, BatchTransform | None]:
    return open_pairs(common, device.type == "cuda", with_images=with_images)


def pretrain(
    common: PretrainingSettings,
    own: Settings,
    build_method: Callable[[Report], Method],
    *,
    with_images: bool = True,
    open_data: OpenData | None = None,
    finish: Callable[[Report], None] | None = None,
    has_scores: bool = True,
) -> None:
    """Train a method, then score its best model once on the test split; with --eval only score.

    Args:
        common: with `has_scores` False, other settings of the same names will do, without `monitor`.
        own: the method's settings, recorded with the common ones.
        build_method: makes the method; receives a function that reports lines, such as warnings.
        with_images: whether the method uses images.
        open_data: a reader of the method's own in place of that of pairs: given the settings and the device, it returns
            a loader and the augmentation of whole batches on the device, if any. It is called before `build_method`.
        finish: called by the main process at the end of a training, with a function that reports lines.
        has_scores: whether labelled clouds score the encoder; without, the last model counts as the best.
    Raises:
        FileNotFoundError, OSError: missing data or weights.
        ValueError: settings that do not fit, damaged data, or a loss that became NaN.
    """
    with process_group(common.processes) as device:
        if not common.model.eval:
            opener = open_data or partial(_open_pairs, with_images=with_images)
            _train(common, own, build_method, opener, device, finish, has_scores)
        elif is_main_process():
            _score(common, common.model.model_path or common.run.folder / BEST_MODEL, device, print)


def _train(
    common: PretrainingSettings,
    own: Settings,
    build_method: Callable[[Report], Method],
    open_data: OpenData,
    device: torch.device,
    finish: Callable[[Report], None] | None,
    has_scores: bool,
) -> None:
    run, model, training, pairs = common[:4]
    if has_graph(model.model):
        check_neighbours(model.model, model.k, "num_points", pairs.num_points)
    seed.everything(training.seed)
    loader, transform = open_data(common, device)
    notes = model.notes + launch_notes(common.processes, pairs.batch_size) + getattr(loader, "notes", [])
    method = build_method(notes.append).to(device)
    # Before anything is written, because the labelled data may be at fault.
    monitor = None
    if has_scores:
        monitor = find_monitor(common.monitor, pairs.data_root, model.model, model.k, device, notes.append)
    recorded = record(*common, own)
    recorded.flags.update(method.origin)
    with open_run(run, recorded, wandb=training.wandb) as opened:
        several = f", {get_world_size()} processes" if get_world_size() > 1 else ""
        unit = getattr(loader, "unit", "shapes")
        shapes = f"{len(loader.dataset)} {unit}, {len(loader)} steps an epoch"
        for line in [f"{shapes}, {model.model} on {device}{several}", *notes]:
            opened.log.line(line)
        options = {"transform": transform, "max_bad_rate": common.bad_samples.max_bad_rate}
        trainer = Pretrainer(opened, training, method, loader, device, monitor=monitor, **options)
        if run.resume:
            trainer.resume()
        trainer.fit()
        if monitor is not None and is_main_process():
            _score(common, run.folder / BEST_MODEL, device, opened.log.line, run.folder / RESULTS_FILE)
        if finish is not None and is_main_process():
            finish(opened.log.line)


def _score(
    common: PretrainingSettings, path: str | Path, device: torch.device, report: Report, json_file: Path | None = None
) -> None:
    """Score the weights at `path` on the test split of --eval_dataset by all protocols; the file names model and k."""
    labelled = common.monitor.labelled_set(common.pairs.data_root)
    features = FeatureSettings(batch_size=common.monitor.test_batch_size)
    frozen = load_frozen_encoder(EncoderSettings(model_path=str(path)), device)
    options = {"seed": common.training.seed, "report": report, "warn": report}
    records = score_encoder(labelled, features, ProtocolSettings(), frozen, device, **options)
    write_report(json_file, records)
