"""Seeding of everything that still draws from global state: weight initialisation and dropout."""

import random

import numpy as np
import torch


def everything(seed: int) -> None:
    """Seed python, numpy and torch. Data draws do not depend on it: they use (seed, epoch, index)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries of others still read the global state
    torch.manual_seed(seed)
