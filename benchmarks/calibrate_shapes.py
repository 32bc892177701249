"""How hard the built-in scan set is: accuracy of a supervised DGCNN on ScanObjectNN's layout.

    python -m benchmarks.calibrate_shapes --data_root data/shapes

The set is meant to leave room for pre-training: an untrained encoder under the fair SVM protocol (scripts.eval_svm
--random_init) scores between 40 % and 75 %, this supervised network above 90 %. Test is read once, at the end.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.labelled.scanobjectnn import VARIANTS, ScanObjectNN
from models.encoders.dgcnn import DGCNN
from utils import seed
from utils.cli import run_main
from utils.flags import add_common_args
from utils.processes.allocator import keep_freed_memory
from utils.processes.device import get_device

BATCH = 32


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--num_points", type=int, default=512, help="random points a cloud in training, first in test")
    parser.add_argument("--variant", choices=list(VARIANTS), default="obj_bg")
    parser.add_argument("--lr", type=float, default=2e-3, help="peak rate of a one-cycle schedule")
    add_common_args(parser)
    return parser.parse_args(argv)


def build_classifier(num_classes: int) -> nn.Sequential:
    """DGCNN with the classifier of its paper: 2048 -> 512 -> 256 -> classes."""
    return nn.Sequential(
        DGCNN(k=15),
        nn.Linear(2048, 512, bias=False),
        nn.BatchNorm1d(512),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.5),
        nn.Linear(512, 256),
        nn.BatchNorm1d(256),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.5),
        nn.Linear(256, num_classes),
    )


def augment(points: Tensor, rng: np.random.Generator, num_points: int) -> Tensor:
    """A random subset of each cloud, turned about y, mirrored, scaled and jittered. (B, M, 3) -> (B, N, 3)."""
    batch, stored, _ = points.shape
    keep = torch.from_numpy(np.stack([rng.permutation(stored)[:num_points] for _ in range(batch)]))
    points = torch.take_along_dim(points, keep[..., None], dim=1)
    angle = torch.from_numpy(rng.uniform(0, 2 * np.pi, batch)).float()
    x = points[..., 0] * angle.cos()[:, None] + points[..., 2] * angle.sin()[:, None]
    z = points[..., 2] * angle.cos()[:, None] - points[..., 0] * angle.sin()[:, None]
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], (batch, 1))).float()
    scale = torch.from_numpy(rng.uniform(0.8, 1.25, (batch, 1, 3))).float()
    noise = torch.from_numpy(rng.normal(0, 0.01, points.shape)).float()
    return torch.stack([x * mirror, points[..., 1], z], dim=-1) * scale + noise


def train(network: nn.Module, data: ScanObjectNN, args: argparse.Namespace, device: torch.device) -> None:
    """Label-smoothed cross-entropy, AdamW, one cycle."""
    rng = np.random.default_rng(args.seed)
    steps = len(data) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * steps)
    start = time.perf_counter()
    for epoch in range(args.epochs):
        network.train()
        correct = 0
        order = rng.permutation(len(data))[: steps * BATCH].reshape(steps, BATCH)
        for rows in order:
            logits = network(augment(data.points[rows], rng, args.num_points).to(device))
            label = data.labels[rows].to(device)
            loss = F.cross_entropy(logits, label, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            correct += (logits.argmax(dim=1) == label).sum().item()
        print(
            f"epoch {epoch} train accuracy {correct / order.size:.3f}  {time.perf_counter() - start:.0f} s", flush=True
        )


@torch.inference_mode()
def accuracy(network: nn.Module, data: ScanObjectNN, device: torch.device) -> float:
    """Share of test clouds named right."""
    network.eval()
    logits = torch.cat([network(points.to(device)).cpu() for points in data.points.split(BATCH)])
    return (logits.argmax(dim=1) == data.labels).float().mean().item()


def main(args: argparse.Namespace) -> None:
    seed.everything(args.seed)
    device = get_device(args.device)
    keep_freed_memory(device)
    options = {"variant": args.variant, "normalize": True}
    data = ScanObjectNN(args.data_root, "train", num_points=2048, **options)
    network = build_classifier(len(data.class_names)).to(device)
    train(network, data, args, device)
    test = ScanObjectNN(args.data_root, "test", num_points=args.num_points, **options)
    figure = accuracy(network, test, device)
    print(f"result task=supervised dataset=scanobjectnn variant={args.variant} seed={args.seed} accuracy={figure:.4f}")


if __name__ == "__main__":
    arguments = parse_args()
    run_main(lambda: main(arguments))
