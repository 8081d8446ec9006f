"""Lengths that are drawn have the distribution that was asked for."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.llm import LengthConfig, LlmConfig
from perfloop_loadgen.scenario.llm.lengths import build_draw, read_lengths

if TYPE_CHECKING:
    from pathlib import Path

DRAWS = 20_000


def _draws(section: dict[str, Any]) -> list[int]:
    draw = build_draw(LengthConfig.model_validate(section))
    return [draw(str(number)) for number in range(DRAWS)]


@pytest.mark.parametrize(
    ("section", "mean", "stddev"),
    [
        ({"distribution": "fixed", "value": 40}, 40, 0),
        ({"distribution": "uniform", "min": 100, "max": 300}, 200, 200 / 12**0.5),
        ({"distribution": "normal", "mean": 500, "stddev": 50}, 500, 50),
        ({"distribution": "lognormal", "mean": 500, "stddev": 300}, 500, 300),
        ({"distribution": "lognormal", "mean": 500, "stddev": 0}, 500, 0),
    ],
)
def test_draws_have_the_moments_that_were_asked_for(section: dict[str, Any], mean: float, stddev: float):
    """Mean and standard deviation of the lengths themselves, also of the lognormal."""
    found = _draws(section)
    assert statistics.fmean(found) == pytest.approx(mean, rel=0.03)
    assert statistics.pstdev(found) == pytest.approx(stddev, rel=0.05, abs=0.1)


def test_draws_are_cut_at_their_bounds():
    """Drawn again, not moved: no heap of values at the bound."""
    found = _draws({"distribution": "normal", "mean": 100, "stddev": 50, "min": 90, "max": 120})
    assert (min(found), max(found)) == (90, 120)
    assert found.count(90) < DRAWS / 10
    assert min(_draws({"distribution": "normal", "mean": 2, "stddev": 5})) == 1


def test_draws_of_a_file_are_its_lengths(tmp_path: Path):
    """Each as often as it is there."""
    path = tmp_path / "lengths.txt"
    path.write_text("10\n\n20\r\n20\n20\n")
    found = _draws({"distribution": "file", "file": path})
    assert set(found) == {10, 20}
    assert found.count(20) == pytest.approx(0.75 * DRAWS, rel=0.05)
    path = tmp_path / "lengths.json"
    path.write_text("[7]")
    assert read_lengths(path) == (7,)


@pytest.mark.parametrize(("text", "sentence"), [("", "at least one"), ("1\nx", "whole number"), ("0", "from 1 to")])
def test_bad_files_of_lengths_are_named(tmp_path: Path, text: str, sentence: str):
    """With what they must hold."""
    path = tmp_path / "lengths.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_lengths(path)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"distribution": "uniform", "min": 3}, "uniform needs max"),
        ({"distribution": "normal", "mean": 3}, "normal needs stddev"),
        ({"distribution": "fixed", "value": 3, "max": 4}, "fixed has no max"),
        ({"distribution": "uniform", "min": 5, "max": 4}, "min 5 is more than max 4"),
    ],
)
def test_a_distribution_has_what_it_needs(section: dict[str, Any], sentence: str):
    """And nothing that would be without effect."""
    with pytest.raises(ValidationError, match=sentence):
        LengthConfig.model_validate(section)


@pytest.mark.parametrize(
    ("llm", "sentence"),
    [
        ({"prompts_file": "p", "prompt_words": 5}, "leave prompts_file or prompt_words out"),
        ({"prompt_words": 5, "prompt_tokens": 5}, "choose one of prompt_words and prompt_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "choose one of max_tokens and max_completion_tokens"),
        ({"shared_prefix_ratio": 0.5, "shared_prefix_words": 5}, "choose one of shared_prefix_ratio"),
    ],
)
def test_a_section_says_each_thing_once(llm: dict[str, Any], sentence: str):
    """Two words for one thing are a mistake."""
    with pytest.raises(ValidationError, match=sentence):
        LlmConfig.model_validate({"model": "m"} | llm)
