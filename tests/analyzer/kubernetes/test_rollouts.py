"""Changes of a cluster: images, templates, restarts with their reason, bounds of autoscalers; each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from perfloop_analyzer.changes import observe
from perfloop_analyzer.series import Batch, Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

GRID = Grid(0.0, 15.0, 81)
NONE = float("nan")
SHOP = {"service": "checkout", "namespace": "shop", "workload": "deployment/checkout"}


def _rows(signal: str, *rows: tuple[Mapping[str, str], float, float, int]) -> dict[str, Batch]:
    """Series that go from one value to another at a point; NaN is none."""
    values = np.array([[old] * at + [new] * (GRID.points - at) for _, old, new, at in rows])
    return {signal: Batch(signal, GRID, tuple({**SHOP, **labels} for labels, *_ in rows), values)}


def _seen(batches: Mapping[str, Batch]) -> list[tuple[str, str, str, float]]:
    return [(one.kind, one.service, one.title, one.at) for one in observe(batches)]


def _image(tag: str, old: float, new: float, at: int) -> tuple[Mapping[str, str], float, float, int]:
    return {"container": "server", "image": f"registry.example:5000/shop/checkout:{tag}"}, old, new, at


def test_another_image_is_a_deployment() -> None:
    """Under its tag; the ReplicaSet that comes with it is no second one."""
    batches = _rows("change/images", _image("1.3", 1.0, NONE, 45), _image("1.4", NONE, 1.0, 42))
    batches |= _rows(
        "change/templates", ({"replicaset": "checkout-a"}, 1.0, 1.0, 0), ({"replicaset": "checkout-b"}, NONE, 1.0, 41)
    )
    assert _seen(batches) == [("deployment", "checkout", "went from checkout:1.3 to checkout:1.4", 630.0)]


def test_a_digest_is_shortened() -> None:
    """Nobody reads 64 digits."""
    rows = [
        ({"container": "server", "image": f"shop/checkout@sha256:{digit * 64}"}, *steps)
        for digit, steps in (("a", (1.0, NONE, 40)), ("b", (NONE, 1.0, 40)))
    ]
    (found,) = _seen(_rows("change/images", *rows))
    assert found[2] == "went from checkout@aaaaaaaaaaaa to checkout@bbbbbbbbbbbb"


def test_a_template_without_another_image_is_a_deployment_too() -> None:
    """Other settings, under the name of the ReplicaSet; a StatefulSet's under its revision."""
    old, new = ({"replicaset": name} for name in ("checkout-a", "checkout-b"))
    assert _seen(_rows("change/templates", (old, 1.0, 1.0, 0), (new, NONE, 1.0, 41))) == [
        ("deployment", "checkout", "rolled out a new template (checkout-b)", 615.0)
    ]
    assert _seen(_rows("change/generations", ({}, 3.0, 4.0, 41))) == [
        ("deployment", "checkout", "its specification was changed (generation 4)", 615.0)
    ]


def test_restarts_of_one_workload_are_one_change_with_their_reason() -> None:
    """Two pods are restarted within a minute, one of them killed for want of memory."""
    first, second = ({"pod": pod, "container": "server"} for pod in ("a", "b"))
    batches = _rows("change/restarts", (first, 0.0, 1.0, 40), (second, 2.0, 3.0, 43))
    batches |= _rows("change/reasons", ({**first, "reason": "OOMKilled"}, NONE, 1.0, 40))
    assert _seen(batches) == [("restart", "checkout", "container server restarted 2 times (OOMKilled)", 600.0)]


def test_other_bounds_of_an_autoscaler_are_a_change_of_scale() -> None:
    """Somebody raised its maximum."""
    row = {"horizontalpodautoscaler": "web", "bound": "maximum"}
    assert _seen(_rows("change/bounds", (row, 5.0, 10.0, 41))) == [
        ("scale", "checkout", "maximum of the autoscaler web from 5 to 10 replicas", 615.0)
    ]


def test_the_number_of_replicas_is_of_the_service() -> None:
    """Not of the Deployment's name, where both differ."""
    row = {"deployment": "checkout-v2"}
    assert _seen(_rows("change/replicas", (row, 2.0, 4.0, 41))) == [
        ("scale", "checkout", "from 2 to 4 replicas", 615.0)
    ]


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param(_rows("change/images", _image("1.3", 1.0, 1.0, 0)), id="the same image"),
        pytest.param(_rows("change/images", _image("1.3", NONE, 1.0, 40)), id="a workload that was not there"),
        pytest.param(
            _rows("change/restarts", ({"pod": "a", "container": "server"}, 5.0, 0.0, 40)),
            id="counters that begin again",
        ),
        pytest.param(_rows("change/generations", ({}, 4.0, 4.0, 0)), id="the same generation"),
    ],
)
def test_what_was_no_change_is_none(batches: Mapping[str, Batch]) -> None:
    """A cluster at rest shows nothing."""
    assert _seen(batches) == []
