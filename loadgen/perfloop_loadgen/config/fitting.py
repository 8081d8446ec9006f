"""Make the ramps and stages of a test follow a duration that was changed after the test was made.

A ready-made test of five minutes ramps up for one; as a test of 30 s it ramps up for 6. So the times keep their share
of the duration, whichever field was set first: only the fields of the end count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_loadgen.config.load import RampingRateConfig, RampingUsersConfig, SpikeConfig

if TYPE_CHECKING:
    from collections.abc import Collection

    from perfloop_loadgen.config.model import LoadTestConfig

_RAMPS = ("ramp_up_seconds", "ramp_down_seconds")
_SPIKE_TIMES = ("spike_after_seconds", "spike_seconds", "rise_seconds")


def fit(config: LoadTestConfig, made_for_seconds: float, assigned: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields to change so that every part lies inside the duration, and a sentence for each.

    Args:
        config: the test as it is now.
        made_for_seconds: the duration that it was made with; 0 without an end.
        assigned: the fields that were set after it was made: their values are meant for the duration of now.
    """
    changes, notes = _fit_parts(config, made_for_seconds, assigned)
    ramps = sum(getattr(config, name) for name in _RAMPS)
    if config.load is not None and 0 < config.duration_seconds < ramps:
        # Without effect beside another shape, but they would break the rule of a file.
        changes |= dict.fromkeys(_RAMPS, 0.0)
    return changes, notes


def _fit_parts(
    config: LoadTestConfig, made_for_seconds: float, assigned: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    match config.load:
        case RampingUsersConfig() | RampingRateConfig():
            is_new = "duration_seconds" in assigned or config.duration_seconds != made_for_seconds
            return _fit_stages(config, config.load) if is_new and config.duration_seconds else ({}, [])
        case SpikeConfig():
            return _fit_spike(config, config.load, made_for_seconds) if "load" not in assigned else ({}, [])
        case None:
            return _fit_ramps(config, made_for_seconds, assigned)
    return {}, []


def _shortened(config: LoadTestConfig, made_for_seconds: float) -> float:
    """Return by which factor the duration has become shorter; 1 for one that has not."""
    if not config.duration_seconds or not made_for_seconds:
        return 1.0
    return min(1.0, config.duration_seconds / made_for_seconds)


def _fit_ramps(
    config: LoadTestConfig, made_for_seconds: float, assigned: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    before = {name: getattr(config, name) for name in _RAMPS}
    factor = _shortened(config, made_for_seconds)
    after = {name: value if name in assigned else value * factor for name, value in before.items()}
    total = sum(after.values())
    if config.duration_seconds and total > config.duration_seconds:
        after = {name: value * config.duration_seconds / total for name, value in after.items()}
    return after, [_sentence(config, name, before[name], after[name]) for name in _RAMPS if after[name] != before[name]]


def _fit_stages(
    config: LoadTestConfig, load: RampingUsersConfig | RampingRateConfig
) -> tuple[dict[str, Any], list[str]]:
    total = sum(stage.seconds for stage in load.stages)
    factor = config.duration_seconds / total
    if factor == 1:
        return {}, []
    stages = [stage.model_copy(update={"seconds": stage.seconds * factor}) for stage in load.stages]
    note = f"the stages take {config.duration_seconds:g} s instead of {total:g} s, each in proportion to the duration"
    return {"load": load.model_copy(update={"stages": stages})}, [note]


def _fit_spike(config: LoadTestConfig, load: SpikeConfig, made_for_seconds: float) -> tuple[dict[str, Any], list[str]]:
    factor = _shortened(config, made_for_seconds)
    before = {name: getattr(load, name) for name in _SPIKE_TIMES if getattr(load, name) is not None}
    after = {name: value * factor for name, value in before.items()}
    notes = [_sentence(config, name, before[name], after[name]) for name in before if after[name] != before[name]]
    return ({"load": load.model_copy(update=after)} if notes else {}), notes


def _sentence(config: LoadTestConfig, name: str, before: float, after: float) -> str:
    return (
        f"{name} is {after:.4g} s instead of {before:g} s: in proportion to a duration of {config.duration_seconds:g} s"
    )
