"""Command-line flags made of the fields of settings classes: what a flag is called, takes and means stands there."""

import argparse
import os
import types
from collections.abc import Collection
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from models.weights.shipped import find_weights
from utils.settings import Settings, check_bounds

Parser = argparse.ArgumentParser


def program_parser(description: str | None) -> Parser:
    """Make the parser of an entry program, whose help shows the program's docstring as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_flags(
    parser: Parser,
    settings: type[Settings],
    title: str | None = None,
    *,
    either: Collection[str] = (),
    **defaults: Any,
) -> None:
    """Declare a flag for every field of a settings class.

    Booleans become a pair --name and --no-name. A field without a default is a required flag.

    Args:
        parser: of the program.
        title: heading of the flags in the program's help.
        either: fields of which the user must give exactly one.
        defaults: the program's own, in place of the fields'.
    """
    group = parser.add_argument_group(title) if title else parser
    one_of = group.add_mutually_exclusive_group(required=True) if either else group
    hints = get_type_hints(settings)
    unknown = defaults.keys() - hints.keys()
    assert not unknown, f"{settings.__name__} has no field {', '.join(sorted(unknown))}"
    for field in fields(settings):
        target, default = one_of if field.name in either else group, defaults.get(field.name, field.default)
        _add_flag(target, field, hints[field.name], default)


def _add_flag(group: argparse._ActionsContainer, field: Field, hint: Any, default: Any) -> None:
    options: dict[str, Any] = {"help": field.metadata.get("help") or None}
    options |= {"required": True} if default is MISSING else {"default": default}
    kind = _plain_type(hint)
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    else:
        options["type"] = _TYPES.get(field.name, kind)
        options |= {key: field.metadata[key] for key in ("choices", "metavar") if field.metadata.get(key)}
    group.add_argument(f"--{field.name}", **options)


def _plain_type(hint: Any) -> type:
    """Return T of T or `T | None`."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    assert hint in (bool, int, float, str, Path), hint
    return hint


def seed_number(text: str) -> int:
    """Parse the value of a --seed flag: a whole number from which every generator here can start."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {2**31 - 1}, got {text}")
    return int(text)


def area_number(text: str) -> int:
    """Parse the value of --test_area: the number of an area from 1, or `all`, which is 0."""
    if text != "all" and not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"must be the number of an area, from 1, or all, got {text}")
    return 0 if text == "all" else int(text)


def weights_path(text: str) -> Path:
    """Parse the value of a flag that takes weights: a file, or the name of shipped ones."""
    return Path(find_weights(text))


# Of fields that take more than their type says.
_TYPES = {
    **{"seed": seed_number, "test_area": area_number},
    **dict.fromkeys(("model_path", "pretrained_path"), lambda text: str(find_weights(text))),
}


def default_data_root() -> str:
    """Return the folder of the data sets where no flag names one: CROSSPOINT_DATA, else data."""
    return os.environ.get("CROSSPOINT_DATA", "data")


def add_device_arg(parser: argparse._ActionsContainer) -> None:
    """Declare --device, which `utils.processes.device.get_device` reads."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def require_at_least(least: int, args: Any, *names: str) -> None:
    """Refuse flags below `least` in a program without settings classes.

    Raises:
        ValueError: names the first such flag.
    """
    for name in names:
        check_bounds(name, getattr(args, name), {"at_least": least})
