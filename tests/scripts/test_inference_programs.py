"""`scripts.embed`, `scripts.classify` and `scripts.segment`: files of any kind in, answers out."""

import csv
import shutil

import numpy as np
import pytest
import torch
import trimesh
from numpy.testing import assert_allclose

from datasets.labels import SHAPENET_PART
from datasets.transforms.point_transforms import unit_sphere
from models.encoders.part_networks import build_part_network
from models.encoders.registry import build_encoder
from models.methods.classification import CloudClassifier
from models.weights.published import export_state
from scripts import classify, embed, segment
from tests.support.entry_programs import error_of, write_encoder
from tests.support.tiny_trees import cloud, write_h5, write_ply
from utils.classification.classifier_scores import class_logits
from utils.classification.classifier_weights import classifier_state
from utils.evaluation.labelled_set import LabelledSetSettings, load_split
from utils.files import read_npz
from utils.inference.input_transform import describe_training_clouds
from utils.pretrained import load

CLASSES = ["cone", "cube", "ball"]


def run(program, *flags):
    words = [str(flag) for flag in flags]
    return program.main(program.parse_args([*words, "--device", "cpu"]))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of a cloud, a text and a mesh, with an HDF5 file of two clouds beside it."""
    folder = tmp_path_factory.mktemp("in")
    write_ply(folder / "shapes" / "a.ply", cloud(0))
    np.savetxt(folder / "shapes" / "b.xyz", cloud(1) * 1000)
    trimesh.creation.box((30, 2, 4)).export(folder / "shapes" / "box.obj")
    write_h5(folder / "set.h5", data=np.stack([cloud(2), cloud(3)]))
    return folder


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("models") / "best_model.pth", "pointnet")


@pytest.fixture(scope="module")
def classifier_file(tmp_path_factory):
    clouds = unit_sphere(np.stack([cloud(5), cloud(6)])) * 2
    return write_classifier(tmp_path_factory.mktemp("models"), clouds, normalize=False)


def write_classifier(folder, clouds, *, normalize):
    """Write a network that says it was trained on these clouds (M, N, 3)."""
    torch.manual_seed(0)
    network = CloudClassifier(build_encoder("pointnet"), len(CLASSES))
    origin = {"class_names": CLASSES, "num_points": clouds.shape[1], "normalize": normalize}
    described = describe_training_clouds(clouds, normalize=normalize)
    torch.save(classifier_state(network, "pointnet", None, origin, described), folder / "best_model.pth")
    return folder / "best_model.pth"


def test_embed_gives_the_features_that_evaluation_computes_and_says_how_each_was_read(files, encoder_file, tmp_path):
    assert (
        run(embed, files / "shapes", files / "set.h5", "--model_path", encoder_file, "--out", tmp_path / "f.npz") == 0
    )
    found = read_npz(tmp_path / "f.npz")
    shapes = files / "shapes"
    names = [shapes / "a.ply", shapes / "b.xyz", shapes / "box.obj", f"{files / 'set.h5'}[0]", f"{files / 'set.h5'}[1]"]
    assert found["name"].tolist() == [str(name) for name in names]
    assert found["how"].tolist()[:3] == [
        "ply cloud, 97 points, centred, radius 1",
        "xyz cloud, 97 points, centred, radius 1",
        "obj mesh, surface sampled, 2048 points, centred, radius 1",
    ]
    encoder = load(encoder_file, device="cpu")
    expected = encoder(np.stack([cloud(0), cloud(1), cloud(2), cloud(3)]), normalize=True)
    assert_allclose(found["feature"][[0, 1, 3, 4]], expected, rtol=1e-4, atol=1e-5)


def test_embed_names_a_file_it_cannot_read_and_writes_the_others(files, encoder_file, tmp_path, capsys):
    (tmp_path / "bad.off").write_text("no mesh")
    flags = (tmp_path / "bad.off", files / "shapes" / "a.ply", "--model_path", encoder_file)
    assert run(embed, *flags, "--num_points", 32, "--out", tmp_path / "f.csv") == 1
    assert f"left out: {tmp_path / 'bad.off'}: " in capsys.readouterr().err
    (row,) = csv.DictReader((tmp_path / "f.csv").read_text().splitlines())
    assert (row["name"], row["how"]) == (
        str(files / "shapes" / "a.ply"),
        "ply cloud, 97 points, 32 drawn, centred, radius 1",
    )
    assert len(row) == 2 + 1024


def test_without_a_readable_file_nothing_is_written(encoder_file, tmp_path, capsys):
    (tmp_path / "bad.off").write_text("no mesh")
    flags = (tmp_path / "bad.off", "--model_path", encoder_file, "--out", tmp_path / "f.npz")
    assert "no cloud could be read" in error_of(lambda: run(embed, *flags), capsys)
    assert not (tmp_path / "f.npz").exists()


def probabilities(network_file, points):
    network = classify.load_network(network_file)[0].eval()
    return network(torch.from_numpy(points)).softmax(dim=1).detach().numpy()


def classified(out, *flags):
    """Run scripts.classify; return names, classes and probabilities (M, Y)."""
    assert run(classify, *flags, "--out", out) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    likely = np.array([[float(row[f"p({name})"]) for name in CLASSES] for row in rows])
    return [row["name"] for row in rows], [row["class"] for row in rows], likely


def test_classify_scales_a_cloud_to_the_radius_of_the_training_clouds(files, classifier_file, tmp_path, capsys):
    path = files / "shapes" / "a.ply"
    _, names, found = classified(tmp_path / "c.csv", path, "--model_path", classifier_file)
    expected = probabilities(classifier_file, unit_sphere(cloud(0)[None]) * 2)
    assert_allclose(found, expected, atol=1e-5)
    assert names == [CLASSES[expected[0].argmax()]]
    assert f"{path}: {names[0]} {expected[0].max():.3f}, " in capsys.readouterr().out


@pytest.mark.parametrize("normalize", [False, True])
def test_classify_gives_the_rows_of_a_set_what_the_test_of_the_fine_tuning_gives_them(normalize, tmp_path, capsys):
    folder = tmp_path / "set"
    data = unit_sphere(np.stack([cloud(seed) for seed in range(8)])) * np.linspace(1, 1.2, 8)[:, None, None]
    for split in ("train", "test"):
        write_h5(folder / f"ply_data_{split}0.h5", data=data.astype(np.float32), label=np.arange(8) % 3)
    (folder / "shape_names.txt").write_text("\n".join(CLASSES))
    settings = LabelledSetSettings(data_root=str(folder), num_points=61, normalize=normalize)
    network_file = write_classifier(tmp_path, load_split(settings, "train").points.numpy(), normalize=normalize)
    _, _, found = classified(tmp_path / "c.csv", folder / "ply_data_test0.h5", "--model_path", network_file)
    expected = class_logits(classify.load_network(network_file)[0], load_split(settings, "test").points)
    assert_allclose(found, classify.softmax(expected), atol=1e-5)
    assert "warning" not in capsys.readouterr().err


def test_rows_in_another_unit_than_the_training_clouds_are_warned_about(files, classifier_file, tmp_path, capsys):
    _, _, found = classified(tmp_path / "c.csv", files / "set.h5", "--model_path", classifier_file)
    assert_allclose(found, probabilities(classifier_file, np.stack([cloud(2), cloud(3)])), atol=1e-5)
    warning = f"2 of 2 clouds are not of the size of the training clouds, the first: {files / 'set.h5'}[0] reaches "
    assert f"warning: {warning}" in (text := capsys.readouterr().err)
    assert text.endswith(" from the origin, those 2; compare with --normalize\n")


def test_hdf5_files_are_read_beside_loose_clouds_but_not_beside_a_tree(files, encoder_file, tmp_path, capsys):
    flags = ("--model_path", encoder_file, "--out", tmp_path / "f.npz")
    assert run(embed, files, *flags) == 0
    names = ["set.h5[0]", "set.h5[1]", "shapes/a.ply", "shapes/b.xyz", "shapes/box.obj"]
    assert read_npz(tmp_path / "f.npz")["name"].tolist() == [str(files / name) for name in names]
    write_ply(tmp_path / "tree" / "ShapeNet" / "02" / "a.ply", cloud(0))
    write_h5(tmp_path / "tree" / "set.h5", data=cloud(2)[None])
    assert run(embed, tmp_path / "tree", *flags) == 0
    assert read_npz(tmp_path / "f.npz")["name"].tolist() == [str(tmp_path / "tree" / "ShapeNet" / "02" / "a.ply")]
    note = f"note: {tmp_path / 'tree'} is a pre-training tree: the clouds in its ShapeNet/ are read, nothing else"
    assert note in capsys.readouterr().err


def test_segment_colours_every_point_of_the_file_by_a_part_of_the_category(tmp_path, capsys):
    torch.manual_seed(0)
    network = build_part_network("pointnet", 0)
    with torch.no_grad():
        network.part_head.conv4.bias[0] = 100  # airplane's body, which is no part of a table
    clouds = describe_training_clouds(unit_sphere(cloud(5, 64)[None]), normalize=False)
    origin = {"parts": segment_parts(), "dataset": "shapenetpart", "class_choice": "", "clouds": clouds}
    torch.save(export_state(network, "pointnet", k=None, **origin), tmp_path / "parts.pth")
    source = write_ply(tmp_path / "table.ply", cloud(4))
    flags = (source, "--model_path", tmp_path / "parts.pth", "--out", tmp_path / "out.ply")
    run(segment, *flags, "--category", "table")
    written = trimesh.load(tmp_path / "out.ply", process=False)
    part = written.metadata["_ply_raw"]["vertex"]["data"]["part"].ravel()
    assert_allclose(written.vertices, cloud(4))
    assert set(part) <= {0, 1, 2}
    palette = np.array([[0, 0x72, 0xB2], [0xE6, 0x9F, 0], [0, 0x9E, 0x73]])
    assert np.array_equal(written.colors[:, :3], palette[part])
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert "64 drawn, centred, radius 1" in capsys.readouterr().out
    assert "--category is missing: this network knows airplane, bag" in error_of(lambda: run(segment, *flags), capsys)
    unknown = error_of(lambda: run(segment, *flags, "--category", "tree"), capsys)
    assert unknown.startswith("error: --category tree: no such category, choose one of airplane")


def segment_parts():
    return {row.name: list(row.parts) for row in SHAPENET_PART}


@pytest.mark.parametrize(
    "program, out, expected",
    [
        (embed, "f.txt", "--out f.txt: expected a file .npz or .csv"),
        (classify, "c.npz", "--out c.npz: expected a file .csv"),
        (segment, "c.obj", "--out c.obj: expected a file .ply"),
    ],
)
def test_an_answer_of_another_kind_is_refused_before_the_network_runs(program, out, expected, capsys):
    flags = ("in.ply", "--model_path", "no.pth", "--out", out)
    assert expected in error_of(lambda: run(program, *flags), capsys)


def test_weights_without_classes_are_refused_with_the_remedy(files, encoder_file, capsys):
    flags = (files / "set.h5", "--model_path", encoder_file)
    assert "holds no classifier; expected models/best_model.pth" in error_of(lambda: run(classify, *flags), capsys)


def test_a_bad_row_of_an_hdf5_file_costs_that_row_alone(encoder_file, tmp_path, capsys):
    data = np.stack([cloud(0), cloud(1), cloud(2)])
    data[1, 5] = np.nan
    write_h5(tmp_path / "set.h5", data=data)
    out = tmp_path / "f.npz"
    assert run(embed, tmp_path / "set.h5", "--model_path", encoder_file, "--out", out) == 1
    assert read_npz(out)["name"].tolist() == [f"{tmp_path / 'set.h5'}[{row}]" for row in (0, 2)]
    assert f"left out: {tmp_path / 'set.h5'}[1]: it has points that are not finite" in capsys.readouterr().err


def test_rows_of_hdf5_are_cut_to_their_first_points_as_evaluation_does(files, encoder_file, tmp_path):
    flags = (files / "set.h5", "--num_points", 50, "--model_path", encoder_file, "--out", tmp_path / "f.npz")
    assert run(embed, *flags) == 0
    expected = load(encoder_file, device="cpu")(np.stack([cloud(2), cloud(3)])[:, :50], normalize=True)
    assert_allclose(read_npz(tmp_path / "f.npz")["feature"], expected, rtol=1e-4, atol=1e-5)


def test_segment_replaces_neither_its_input_nor_a_picture_of_the_user(files, tmp_path, capsys):
    scan = write_ply(tmp_path / "scan.ply", cloud(0))
    (tmp_path / "photo.png").write_bytes(b"mine")
    for out, message in (("scan.ply", "is the input itself"), ("photo.ply", "its picture would replace")):
        flags = (scan, "--model_path", tmp_path / "none.pth", "--out", tmp_path / out)
        assert message in error_of(lambda flags=flags: run(segment, *flags), capsys)
    assert (tmp_path / "photo.png").read_bytes() == b"mine"


@pytest.mark.parametrize(("program", "name"), [(embed, "scan.npz"), (classify, "scan.csv")])
def test_answers_replace_no_input(program, name, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"mine")
    flags = (tmp_path / name, "--model_path", tmp_path / "none.pth", "--out", tmp_path / name)
    assert "is an input itself" in error_of(lambda: run(program, *flags), capsys)
    assert (tmp_path / name).read_bytes() == b"mine"


def test_features_in_the_folder_of_their_clouds_are_written_again(files, encoder_file, tmp_path):
    shutil.copy(files / "shapes" / "a.ply", tmp_path)
    for _ in range(2):
        assert run(embed, tmp_path, "--model_path", encoder_file, "--out", tmp_path / "f.csv") == 0
