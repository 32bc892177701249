"""Pre-train a point encoder with BYOL (Grill et al. 2020, arXiv:2006.07733): a method the project does not know."""

import argparse
import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from models.encoders.registry import build_encoder, encoder_name
from models.methods.method import Method
from models.weights.published import export_state
from utils.flags import add_flags, program_parser
from utils.pretraining.program import FLAG_GROUPS, PretrainingSettings, pretrain
from utils.settings import Settings, flag, read_all


@dataclass(frozen=True)
class ByolSettings(Settings):
    decay: float = flag(0.9, "of the teacher's moving average", at_least=0, at_most=1)


class Byol(Method):
    """The student predicts the features that its moving average gives to the other augmentation."""

    def __init__(self, point_encoder: nn.Module, decay: float):
        super().__init__()
        self.point_encoder, self.decay, dim = point_encoder, decay, point_encoder.feature_dim
        self.predictor = nn.Sequential(nn.Linear(dim, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, dim))
        self.teacher = copy.deepcopy(point_encoder).requires_grad_(False)

    def forward(self, batch):
        points = torch.cat([batch["aug_a"], batch["aug_b"]])
        target = torch.cat([self.teacher(batch["aug_b"]), self.teacher(batch["aug_a"])])
        return {"loss/byol": 1 - F.cosine_similarity(self.predictor(self.point_encoder(points)), target).mean()}

    def after_update(self, step):
        student = self.point_encoder.state_dict()
        for name, value in self.teacher.state_dict().items():
            value.copy_(self.decay * value + (1 - self.decay) * student[name])

    def frozen_parts(self):
        return [self.teacher]

    def weights(self):
        return {"point": export_state(self.point_encoder, encoder_name(self.point_encoder))}


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = program_parser(__doc__)
    for title, settings in (FLAG_GROUPS | {"method": ByolSettings}).items():
        add_flags(parser, settings, title, **({"epochs": 2} if title == "training" else {}))
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    common, own = read_all(PretrainingSettings, vars(args)), ByolSettings.read(vars(args))
    model = common.model
    encoder = (model.model, model.k, model.emb_dims)
    pretrain(common, own, lambda report: Byol(build_encoder(*encoder), own.decay), with_images=False)
