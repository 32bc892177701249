import pytest

from utils.results.seed_means import SeedFigure, gain_error, seed_mean


def figures(*triples):
    return [SeedFigure(*triple) for triple in triples]


def test_of_several_encoders_each_is_averaged_over_its_evaluations_first():
    found = seed_mean(figures(("a", 1, 10), ("a", 2, 30), ("a", 3, 20), ("b", 1, 40)))
    assert (found.mean, found.spread) == (30, pytest.approx(20 / 2**0.5))  # of 20 and 40, not of four figures
    assert (found.is_of_evaluation, found.num_weights, found.num_evaluations) == (False, 2, "1 to 3")


def test_the_spread_of_a_single_encoder_is_that_of_its_evaluations():
    found = seed_mean(figures(("a", 1, 10), ("a", 2, 30)))
    assert (found.mean, found.spread) == (20, pytest.approx(20 / 2**0.5))
    assert (found.is_of_evaluation, found.num_weights, found.num_evaluations) == (True, 1, "2")


def test_a_single_figure_has_no_spread():
    assert seed_mean(figures(("a", 1, 10))) == (10, None, False, 1, "1")
    assert gain_error(figures(("a", 1, 10)), figures(("b", 1, 20), ("b", 2, 30))) is None


RANDOM = figures((1, 1, 10), (2, 2, 50), (3, 3, 30))


@pytest.mark.parametrize("weights", [("c", "c", "c"), ("c", "d", "e")])
def test_the_error_of_a_gain_is_of_the_differences_where_both_sides_have_the_same_seeds(weights):
    pretrained = figures(*((name, seed, value) for name, seed, value in zip(weights, (1, 2, 3), (20, 60, 43))))
    assert gain_error(RANDOM, pretrained) == pytest.approx(1)  # of 10, 10, 13: stdev sqrt(3) / sqrt(3)


@pytest.mark.parametrize(
    "pretrained",
    [
        figures(("c", 4, 20), ("c", 5, 60), ("c", 6, 40)),
        figures(("c", 1, 20), ("d", 1, 60), ("e", 1, 40)),  # no counterpart of seeds 2 and 3
    ],
)
def test_the_error_of_a_gain_is_of_both_spreads_where_nothing_pairs_them(pretrained):
    assert gain_error(RANDOM, pretrained) == pytest.approx((400 / 3 + 400 / 3) ** 0.5)
