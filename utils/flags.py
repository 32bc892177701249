"""Flags that several programs have."""

import argparse
import os

from utils.cli import seed_number


def add_common_args(parser: argparse.ArgumentParser) -> None:
    """Flags every program with an encoder has: data, device, seed, workers."""
    group = parser.add_argument_group("data and machine")
    group.add_argument(
        "--data_root",
        default=os.environ.get("CROSSPOINT_DATA", "data"),
        help="folder of the data sets (default: the environment variable CROSSPOINT_DATA, else data)",
    )
    add_device_arg(group)
    group.add_argument("--seed", type=seed_number, default=1, help="weights, data order and augmentations")
    group.add_argument("--num_workers", type=int, default=2, help="loader processes; 0 loads in this one")


def add_device_arg(parser: argparse._ActionsContainer) -> None:
    """The flag --device, which `get_device` reads."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def add_save_arg(parser: argparse._ActionsContainer) -> None:
    """The flag --save_every_steps of every training."""
    parser.add_argument(
        "--save_every_steps", type=int, default=0, help="optimiser steps between states, beside one each epoch; 0: none"
    )


def require_at_least(least: int, args: argparse.Namespace, *names: str) -> None:
    """Refuse numbers below `least`.

    Raises:
        ValueError: names the first such flag.
    """
    for name in names:
        if getattr(args, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(args, name)}")


def settle_start(args: argparse.Namespace) -> None:
    """Let --pretrained_path name the weights a fine-tuning starts from, --model_path those that --eval scores.

    CrossPoint-DDP's users type --model_path for both; `args` is changed.

    Raises:
        ValueError: both are given to start from, or weights to start from with --eval.
    """
    if args.model_path and not args.eval:  # CrossPoint-DDP's name for it
        if args.pretrained_path:
            raise ValueError("--pretrained_path and --model_path both name weights to start from; pass one")
        args.pretrained_path, args.model_path = args.model_path, ""
    if args.pretrained_path and args.eval:
        raise ValueError("--pretrained_path starts a training; with --eval pass the fine-tuned network as --model_path")
