from dataclasses import asdict, dataclass

import pytest

from utils.flags import add_flags, program_parser
from utils.settings import Settings, flag, record


@dataclass(frozen=True)
class Bread(Settings):
    flour: str = flag("rye", "kind", choices=("rye", "spelt"))
    grams: int = flag(500, at_least=1)
    salt: float = flag(0.02, at_least=0, below=1, is_free=True)
    seeds: bool = flag(False)
    minutes: int | None = flag(None, above=0)


def read(*argv: str, **options) -> Bread:
    parser = program_parser(None)
    add_flags(parser, Bread, "bread", **options)
    return Bread.read(vars(parser.parse_args(argv)))


def test_flags_become_typed_fields():
    assert read() == Bread()
    typed = read("--flour", "spelt", "--grams", "3", "--salt", "0.5", "--seeds", "--minutes", "7")
    assert typed == Bread(flour="spelt", grams=3, salt=0.5, seeds=True, minutes=7)
    assert read("--no-seeds", grams=9) == Bread(grams=9)


@pytest.mark.parametrize("words", [(), ("--flour", "spelt", "--grams", "3")])
def test_exactly_one_of_some_flags_must_be_given(capsys, words):
    either = ("flour", "grams")
    assert read("--grams", "3", either=either) == Bread(grams=3)
    with pytest.raises(SystemExit):
        read(*words, either=either)
    assert "--grams" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (("--grams", "0"), "--grams must be at least 1, got 0"),
        (("--salt", "1"), r"--salt must be in \[0, 1\), got 1"),
        (("--salt", "nan"), r"--salt must be in \[0, 1\), got nan"),
        (("--minutes", "0"), "--minutes must be > 0, got 0"),
    ],
)
def test_values_out_of_bounds_are_refused_by_the_flags_name(words, message):
    with pytest.raises(ValueError, match=message):
        read(*words)


@dataclass(frozen=True)
class Oven(Settings):
    seed: int = flag(1)
    degrees: float = flag(help="no default", above=0)


def test_a_flag_without_default_is_required_and_seeds_are_whole_numbers(capsys):
    parser = program_parser(None)
    add_flags(parser, Oven)
    assert Oven.read(vars(parser.parse_args(["--degrees", "200", "--seed", "3"]))) == Oven(seed=3, degrees=200.0)
    for words in ([], ["--degrees", "1", "--seed", "-1"], ["--degrees", "1", "--seed", str(2**31)]):
        with pytest.raises(SystemExit):
            parser.parse_args(words)


def test_a_record_merges_settings_and_knows_what_may_change_on_resuming():
    flags, free = record(Bread(grams=2), Oven(degrees=9.0))
    assert flags == asdict(Bread(grams=2)) | {"seed": 1, "degrees": 9.0}
    assert free == {"salt"}
