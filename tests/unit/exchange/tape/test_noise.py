"""Noise: fixed by its key for ever, in any order, and shaped as promised."""

import numpy as np

from alchemiser.exchange.noise import bells_at, noise_key, uniforms, uniforms_at


def test_the_numbers_of_a_key_are_fixed_for_ever() -> None:
    """Neither the machine, nor NumPy's version, nor hash randomisation may change a market."""
    assert noise_key(7, "SPY", "2025-03-31") == 0x2E60A396F1796448
    assert uniforms(1, 3).tolist() == [0.5665615751722809, 0.7457817572627011, 0.9710027535867962]
    assert bells_at(1, np.arange(2, dtype=np.uint64)).tolist() == [1.260422557867625, 1.0523506990064648]


def test_a_number_does_not_depend_on_the_others_asked_for() -> None:
    """The number of an index is the same alone, in a range and in another order."""
    whole = uniforms(42, 100)
    assert uniforms(42, 10, first=90).tolist() == whole[90:].tolist()
    assert uniforms_at(42, np.array([99, 3], np.uint64)).tolist() == [whole[99], whole[3]]
    bells = bells_at(42, np.arange(100, dtype=np.uint64))
    assert bells_at(42, np.array([99, 3], np.uint64)).tolist() == [bells[99], bells[3]]


def test_names_do_not_run_together() -> None:
    """Parts of a name are kept apart, so that two different names never mean the same."""
    assert noise_key("ab", "c") != noise_key("a", "bc")
    assert noise_key(1, "SPY") != noise_key(2, "SPY")


def test_the_numbers_are_spread_as_promised() -> None:
    """Uniform numbers fill the unit interval evenly; bells have mean 0, deviation 1 and bounded tails."""
    draws = uniforms(5, 40_000)
    assert 0 <= draws.min() < 0.001
    assert 0.999 < draws.max() < 1
    assert np.histogram(draws, bins=20, range=(0, 1))[0].min() > 1800
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.02
    bells = bells_at(5, np.arange(40_000, dtype=np.uint64))
    assert abs(bells.mean()) < 0.02
    assert abs(bells.std() - 1) < 0.02
    assert np.abs(bells).max() < 3.5
