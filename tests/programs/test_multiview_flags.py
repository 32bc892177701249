"""Each flag of multi-view pre-training changes what is built; the defaults are the published ones."""

import pytest

from scripts import pretrain_images, pretrain_multiview
from tests.support.light_runs import built_by
from tests.support.multiview_runs import train_images, train_points, write_taught

POINTS = {
    "--teacher_depth 34": lambda t: t.method.origin,
    "--teacher_stem standard --image_size 40": lambda t: t.method.origin,
    "--image_size 17": lambda t: t.loader.dataset[0]["maps"].shape,
    "--teacher_cache OTHER": lambda t: t.loader.dataset.targets.folder.parent.name,
    "--views 1": lambda t: t.loader.dataset.targets.features(0)[0].shape,
    "--num_points 70": lambda t: t.loader.dataset[0]["points"].shape,
    "--pairs 9": lambda t: t.loader.dataset[0]["pairs"].shape,
    "--selection sps": lambda t: t.loader.dataset.selection,
    "--global_weight 2": lambda t: t.method.global_weight,
    "--local_weight 0": lambda t: any(p.requires_grad for p in t.method.point_head.parameters()),
    "--temperature 0.1": lambda t: t.method.temperature,
    "--mask_same_point": lambda t: t.method.masks_same_point,
    "--jitter 0.01": lambda t: t.loader.dataset.augment,
    "--rotation so3": lambda t: t.loader.dataset.augment,
    "--max_scale 1.5": lambda t: t.loader.dataset.augment,
    "--translation 0.1": lambda t: t.loader.dataset.augment,
    "--max_dropout 0.1": lambda t: t.loader.dataset.augment,
    "--background white": lambda t: t.loader.dataset.targets.folder,
    "--seed 2": lambda t: (t.method.origin, t.loader.dataset.seed),
}
IMAGES = {
    "--image_depth 34": lambda t: t.method.encoder.depth,
    "--stem standard": lambda t: t.method.encoder.stem,
    "--views 2": lambda t: t.loader.dataset[0]["views_a"].shape,
    "--temperature 0.1": lambda t: t.method.temperature,
    "--image_size 16": lambda t: t.loader.dataset[0]["views_b"].shape,
    "--background white": lambda t: t.loader.dataset.source.background,
    "--background random": lambda t: t.loader.dataset[0]["views_a"].sum().item(),
}
CASES = [(train_points, flags, read) for flags, read in POINTS.items()]
CASES += [(train_images, flags, read) for flags, read in IMAGES.items()]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return a function that builds a training of a program with some flags more."""
    root, out = write_taught(tmp_path_factory.mktemp("tree")), tmp_path_factory.mktemp("out")

    def build(train, *flags):
        words = [str(out / "other") if word == "OTHER" else word for word in flags]
        return built_by(lambda: train(root, out, "--overwrite", *words))

    return build, {train: build(train) for train in (train_points, train_images)}


@pytest.mark.parametrize(("train", "flags", "read"), CASES, ids=[f"{case[0].__name__} {case[1]}" for case in CASES])
def test_each_flag_changes_what_is_built(plain, train, flags, read):
    build, without = plain
    assert read(build(train, *flags.split())) != read(without[train])


def test_defaults_are_the_published_ones():
    points = vars(pretrain_multiview.parse_args(["--teacher", "t.pth"]))
    published = {"views": 12, "pairs": 512, "num_points": 1024, "batch_size": 32, "epochs": 400, "lr": 0.001, "k": 20}
    published |= {"weight_decay": 0, "temperature": 0.5, "image_size": 32, "scheduler": "step", "use_sgd": False}
    published |= {"selection": "random", "global_weight": 1, "local_weight": 1, "mask_same_point": False}
    published |= {"rotation": "none", "max_scale": 1, "translation": 0, "jitter": 0, "max_dropout": 0}
    assert {name: points[name] for name in published} == published
    images = vars(pretrain_images.parse_args([]))
    published = {"image_depth": 50, "image_size": 32, "batch_size": 512, "epochs": 1000, "temperature": 0.5}
    assert {name: images[name] for name in published} == published
