from loadtests.measures import Figure, Result, at_least, at_most, at_share, percent_within, quantiles


def test_a_requirement_is_met_up_to_its_bound_and_not_beyond():
    assert at_most("cost", 4, 4, "x").passed
    assert not at_most("cost", 4, 4.01, "x").passed
    assert at_least("share", 90, 90, "%").passed
    assert not at_least("share", 90, 89.9, "%").passed


def test_a_requirement_says_what_was_wanted_and_reached():
    requirement = at_most("cost", 4, 6.789, "x", aim=3)
    assert (requirement.wanted, requirement.reached) == ("at most 4 x (aim: 3)", "6.79 x")


def test_a_result_passes_when_every_requirement_does():
    good, bad = at_most("cost", 4, 3, "x"), at_most("delay", 5, 6, "ms")
    assert Result([good], {}).passed
    assert not Result([good, bad], {}).passed


def test_a_figure_has_its_median_and_spread():
    figure = Figure("ms", [3.0, 1.0, 2.0])
    assert (figure.low, figure.median, figure.high) == (1.0, 2.0, 3.0)


def test_a_share_of_all_values_is_at_most_the_one_that_is_given():
    values = [float(number) for number in range(100, -1, -1)]
    assert (at_share(values, 0), at_share(values, 0.95), at_share(values, 1)) == (0.0, 95.0, 100.0)
    assert at_share([], 0.95) == 0


def test_what_is_at_the_bound_is_within_it():
    assert percent_within([4.0, 1.0, 3.0, 2.0], 2) == 50


def test_quantiles_keep_the_least_and_the_largest():
    found = quantiles([float(number) for number in range(1_000)], 10)
    assert (len(found), found[0], found[-1]) == (11, 0.0, 999.0)
    assert quantiles([5.0], 2) == [5.0, 5.0, 5.0]
