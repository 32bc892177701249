"""The file that says what a screen compares: pre-training settings, their seeds, their minutes and the labelled set."""

import argparse
import importlib
import json
import re
import shlex
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from utils.evaluation.frozen_encoder import FeatureSettings
from utils.evaluation.labelled_set import LabelledSetSettings
from utils.flags import add_flags, default_data_root

CLOCKS = ("wall", "cpu")
_PROGRAM = re.compile(r"train_crosspoint|scripts\.pretrain_\w+")
_NAME = re.compile(r"[\w-][\w.-]*")
_OWN_FLAGS = ("--epochs", "--seed", "--exp_name", "--output_dir", "--resume", "--overwrite", "--eval", "--eval_freq")
_KINDS = {
    **{"minutes": (int, float), "clock": str, "seeds": list, "program": str, "flags": str, "evaluation": str},
    "settings": dict,
}
_OF_A_SETTING = ("program", "flags", "seeds")


class Setting(NamedTuple):
    """One way of pre-training: a program, its flags but for those that the screen adds, and its seeds."""

    name: str
    program: str
    flags: list[str]
    seeds: list[int]


class Screen(NamedTuple):
    """What is compared: settings that train for `minutes` of `clock`, scored by `features` of `labelled`."""

    minutes: float
    clock: str
    settings: list[Setting]
    labelled: LabelledSetSettings
    features: FeatureSettings


def read_screen(path: Path) -> Screen:
    """Read CONFIG; check every flag by its own program before anything is trained.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something in it is missing, unknown or of another kind; names the file and the entry.
        SystemExit: a program refuses its flags, and has said so.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except (json.JSONDecodeError, UnicodeDecodeError, _Repeated) as error:
        raise ValueError(f"{path} is no JSON file of a screen: {error}") from error
    config = {"clock": "wall", "program": "train_crosspoint", "flags": "", **_table(config, _KINDS, str(path))}
    missing = [name for name in _KINDS if name not in config]
    if missing or not config["settings"]:
        raise ValueError(f"{path} lacks {', '.join(missing) or 'any setting'}; docs/screen.md shows a whole one")
    if config["minutes"] <= 0 or config["clock"] not in CLOCKS:
        raise ValueError(f"{path}: minutes must be above 0 and clock one of {', '.join(CLOCKS)}")
    settings = [_setting(name, own, config, path) for name, own in config["settings"].items()]
    parser = argparse.ArgumentParser(prog=f'"evaluation" in {path}', add_help=False)
    kinds = {LabelledSetSettings: {"data_root": default_data_root()}, FeatureSettings: {}}
    for kind, defaults in kinds.items():
        add_flags(parser, kind, **defaults)
    scored = vars(parser.parse_args(shlex.split(config["evaluation"])))
    return Screen(config["minutes"], config["clock"], settings, *(kind.read(scored) for kind in kinds))


class _Repeated(ValueError):
    pass


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; of two entries of one name json would drop the first in silence."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return table


def _table(table: Any, known: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check that something is an object of known entries of the right kind."""
    if not isinstance(table, dict) or table.keys() - known.keys():
        found = f"the unknown {sorted(table.keys() - known.keys())[0]!r}" if isinstance(table, dict) else repr(table)
        raise ValueError(f"{where}: expected an object with entries out of {', '.join(known)}, found {found}")
    for name, value in table.items():
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise ValueError(f"{where}: {name} is of another kind than expected: {value!r}")
    return table


def _setting(name: str, own: Any, config: Mapping[str, Any], path: Path) -> Setting:
    where = f"{path}, setting {name!r}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: names a folder; use letters, digits, '_', '-' and '.'")
    own = _table(own, {key: _KINDS[key] for key in _OF_A_SETTING}, where)
    program = own.get("program", config["program"])
    if not _PROGRAM.fullmatch(program) or find_spec(program) is None:
        raise ValueError(f"{where}: expected train_crosspoint or scripts.pretrain_NAME, got program {program!r}")
    seeds = own.get("seeds", config["seeds"])
    if not seeds or len(set(seeds)) < len(seeds) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ValueError(f"{where}: seeds must be different whole numbers, got {seeds}")
    flags = shlex.split(config["flags"]) + shlex.split(own.get("flags", ""))
    taken = [word for word in flags if word.partition("=")[0].replace("--no-", "--") in _OWN_FLAGS]
    if taken:
        raise ValueError(f"{where}: the screen sets {taken[0]} itself; leave it out")
    importlib.import_module(program).parse_args(flags)
    return Setting(name, program, flags, seeds)
