"""Settings: frozen dataclasses whose fields are the flags of a program and what its config.json records.

    @dataclass(frozen=True)
    class OptimSettings(Settings):
        lr: float = flag(0.001, "initial rate, cosine to 0 over all steps", above=0)

`utils.flags` turns the fields into command-line flags, `OptimSettings.read(vars(args))` takes their values.
"""

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self, TypeVar

Group = TypeVar("Group", bound=tuple)
_IS_INSIDE = {"above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le}
_WORDS = {  # of the bounds that a flag has
    frozenset({"above"}): "> {above:g}",
    frozenset({"at_least"}): "at least {at_least:g}",
    frozenset({"below"}): "below {below:g}",
    frozenset({"at_most"}): "at most {at_most:g}",
    frozenset({"above", "below"}): "between {above:g} and {below:g}",
    frozenset({"above", "at_most"}): "above {above:g} and at most {at_most:g}",
    frozenset({"at_least", "below"}): "in [{at_least:g}, {below:g})",
    frozenset({"at_least", "at_most"}): "at least {at_least:g} and at most {at_most:g}",
}


def flag(
    default: Any = dataclasses.MISSING,
    help: str = "",  # argparse's word
    *,
    choices: Sequence[str] | None = None,
    metavar: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    is_free: bool = False,
) -> Any:
    """Declare a field of a Settings class.

    Args:
        choices: the values allowed.
        at_least, above, at_most, below: bounds of the value, checked when the settings are made; None passes them.
        is_free: the value may change when a run is resumed, because it does not affect what is learned.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = {"help": help, "choices": choices, "metavar": metavar, "bounds": bounds, "is_free": is_free}
    return dataclasses.field(default=default, metadata=metadata, kw_only=True)


@dataclass(frozen=True)
class Settings:
    """Base of all settings: checks every field against the bounds that its `flag` declares."""

    def __post_init__(self) -> None:
        for field in fields(self):
            check_bounds(field.name, getattr(self, field.name), field.metadata.get("bounds", {}))

    @classmethod
    def read(cls, flags: Mapping[str, Any]) -> Self:
        """Take the values of the fields out of a program's flags.

        Raises:
            ValueError: a value out of bounds; names the flag.
        """
        return cls(**{field.name: flags[field.name] for field in fields(cls)})


def check_bounds(name: str, value: Any, bounds: Mapping[str, float | None]) -> None:
    """Refuse a number outside its bounds, and one that is NaN or infinite where it has any.

    Raises:
        ValueError: names the flag.
    """
    given = {key: bound for key, bound in bounds.items() if bound is not None}
    if value is None or not given:
        return
    is_inside = all(_IS_INSIDE[key](value, bound) for key, bound in given.items())
    if not is_inside or not math.isfinite(value):
        raise ValueError(f"--{name} must be {_WORDS[frozenset(given)].format(**given)}, got {value}")


def read_all(group: type[Group], flags: Mapping[str, Any]) -> Group:
    """Read every member of a NamedTuple of settings from a program's flags.

    Raises:
        ValueError: a value out of bounds; names the flag.
    """
    return group(*(kind.read(flags) for kind in group.__annotations__.values()))


class Record(NamedTuple):
    """The flags of a run by name, as config.json and every state hold them, and those that may change on resuming."""

    flags: dict[str, Any]
    free: frozenset[str]


def record(*settings: Settings) -> Record:
    """Merge settings into the record of a run."""
    flags: dict[str, Any] = {}
    for part in settings:
        flags |= {field.name: getattr(part, field.name) for field in fields(part)}
    free = (field.name for part in settings for field in fields(part) if field.metadata.get("is_free"))
    return Record(flags, frozenset(free))
