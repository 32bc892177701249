"""Cross-modal self-training: its terms, its teacher, and a problem where joint labels beat separate ones."""

import pytest
import torch
from torch import nn

from models.encoders.image_resnet import ImageResNet
from models.encoders.registry import build_encoder
from models.losses.matching import matching_loss
from models.losses.self_training import PUBLISHED_THRESHOLDS, fairness, published_alignment
from models.methods.cross_modal_self_training import CrossModalSelfTraining, TeacherPace, TermWeights
from models.methods.text_alignment import AlignedTowers, load_towers
from tests.support.toy_texts import ToyTexts
from tests.support.toy_towers import toy_batch, toy_towers

pytestmark = pytest.mark.usefixtures("light_training")


def points_accuracy(towers, batch, label):
    with torch.no_grad():
        logits = towers.logits(towers.embed_points(batch["points_weak"]), towers.classifier)
    return (logits.argmax(dim=1) == label).double().mean().item()


def adapted(labels, steps=120):
    """Train on the toy problem; return the accuracy of points, of student and teacher."""
    method = CrossModalSelfTraining(toy_towers(), labels=labels, pace=TeacherPace(0.8, 0.9, 20)).train()
    batch, label = toy_batch()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    for step in range(steps):
        optimizer.zero_grad()
        sum(method(batch).values()).backward()
        optimizer.step()
        method.after_update(step + 1)
    return [points_accuracy(towers, batch, label) for towers in (method.student, method.teacher)]


def test_joint_labels_correct_points_where_separate_ones_repeat_their_faults():
    batch, label = toy_batch()
    zero_shot = points_accuracy(toy_towers(), batch, label)
    assert zero_shot == 42 / 64
    assert min(adapted("joint")) == 1
    assert max(adapted("separate")) <= zero_shot + 0.05


def test_the_teacher_follows_by_the_ramp_and_copies_whole_numbers():
    pace = TeacherPace()
    assert [pace.decay(step) for step in (1, 201, 401, 9000)] == pytest.approx([0.99, 0.9949, 0.9998, 0.9998])
    towers = toy_towers()
    towers.image_encoder.norm = nn.BatchNorm1d(3)
    method = CrossModalSelfTraining(towers)
    before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    with torch.no_grad():
        for value in method.student.state_dict().values():
            value.add_(7)
    method.after_update(201)
    for name, value in method.teacher.state_dict().items():
        moved = 7 * (1 - 0.9949) if value.is_floating_point() else 7
        torch.testing.assert_close(value, (before[name] + moved).to(value.dtype))
    assert method.teacher.image_encoder.norm.num_batches_tracked == 7


def test_the_teacher_receives_no_gradient_and_stays_in_eval_mode():
    method = CrossModalSelfTraining(toy_towers()).train()
    sum(method(toy_batch()[0]).values()).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert method.student.classifier.grad.abs().max() > 0
    assert [method.teacher.training, method.student.training] == [False, True]


def test_terms_are_weighted_and_a_batch_without_trusted_labels_teaches_none():
    batch, _ = toy_batch(8)
    weights = TermWeights(points=0.5, fairness=2.0, alignment=3.0)
    unsure = PUBLISHED_THRESHOLDS._replace(joint=1.0)
    method = CrossModalSelfTraining(toy_towers(), weights=weights, thresholds=unsure)
    terms = method(batch)
    student = method.student
    images, points = student.embed_images(batch["image_strong"]), student.embed_points(batch["points_strong"])
    assert terms["loss/label_image"] == terms["loss/label_points"] == 0
    torch.testing.assert_close(terms["loss/fair_points"], fairness(student.logits(points, student.classifier)))
    torch.testing.assert_close(terms["loss/alignment"], 6 * matching_loss(points, images, torch.tensor(1 / 0.07)))
    (terms["loss/label_image"] + terms["loss/label_points"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in student.parameters())
    assert method.take_counts() == {"labels/sure_image": 0, "labels/sure_points": 0}
    literal = CrossModalSelfTraining(toy_towers(), published_losses=True)(batch)
    torch.testing.assert_close(literal["loss/alignment"], published_alignment(points, images))


@pytest.mark.parametrize(
    "labels, names",
    [
        ("joint", {"label_image", "fair_image", "label_points", "fair_points", "alignment"}),
        ("separate", {"label_image", "fair_image", "label_points", "fair_points"}),
        ("image", {"label_image", "fair_image"}),
        ("points", {"label_points", "fair_points"}),
    ],
)
def test_each_branch_has_its_terms_and_all_that_learns_gets_a_gradient(labels, names):
    method = CrossModalSelfTraining(toy_towers(), labels=labels).train()
    terms = method(toy_batch()[0])
    assert {name.removeprefix("loss/") for name in terms} == names
    sum(terms.values()).backward()
    assert all((p.grad is not None) == p.requires_grad for p in method.parameters())
    shares = method.take_counts()
    assert set(shares.values()) == {1.0}
    assert {f"labels/sure_{branch}" for branch in method.branches} == shares.keys()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="call set_classes"):
        CrossModalSelfTraining(AlignedTowers(build_encoder("pointnet"), ImageResNet(18), 4, text={}, image_size=8))
    with pytest.raises(ValueError, match="--labels image trains one branch"):
        CrossModalSelfTraining(toy_towers(), labels="image", weights=TermWeights(alignment=1.0))
    with pytest.raises(ValueError, match="alignment_temperature must be > 0"):
        CrossModalSelfTraining(toy_towers(), alignment_temperature=0.0)


def test_towers_are_read_back_with_their_classes(tmp_path):
    texts = ToyTexts()
    encoder = build_encoder("pointnet", emb_dims=16)
    towers = AlignedTowers(encoder, ImageResNet(18), texts.dim, text=texts.describe(), image_size=32)
    towers.set_classes(["a mug", "a car"], texts.encode(["a mug", "a car"]).T)
    torch.testing.assert_close(towers.classifier.norm(dim=0), torch.ones(2))
    method = CrossModalSelfTraining(towers)
    assert len(method.notes) == 2
    nn.init.constant_(method.teacher.classifier, 0.5)
    for name, state in method.weights().items():
        torch.save(state, tmp_path / f"{name}.pth")
    for name, expected in (("student", towers.classifier), ("teacher", torch.full((16, 2), 0.5))):
        loaded = load_towers(tmp_path / f"{name}.pth")
        assert loaded.class_names == ["a mug", "a car"]
        torch.testing.assert_close(loaded.classifier, expected, rtol=0, atol=0, check_stride=False)
    assert load_towers(tmp_path / "student.pth", is_trained=False).class_names == []
