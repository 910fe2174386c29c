"""Weights come from YAML, and every mistake in them is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reward import VERSIONS, RewardFunction, load_weights
from reward.weights import WEIGHTS


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_load_by_name_and_know_their_terms(version: str) -> None:
    function = RewardFunction.load(version)
    assert function.name == version.upper()
    assert function.weights.unit == ("CHF" if version == "v3" else "points")
    assert ("fare" in function.term_names) == (version == "v3")


def test_table_of_design_is_what_the_files_say() -> None:
    v1, v2 = load_weights("v1"), load_weights("v2")
    for weight, expected in {
        "assigned": (50, 100),
        "lateness_per_min": (-5, -2),
        "lateness_worst": (-100, -50),
        "lateness_grace_outbound_min": (5, 5),
        "lateness_grace_return_min": (5, 5),
        "expired": (-200, -60),
        "short_approach": (10, 10),
        "deadhead_per_km": (0, -1 / 20),
        "priority": (20, 20),
        "prompt_pickup": (15, 15),
        "idle_wait": (-1, -1),
        "infeasible": (-5, -5),
        "completion": (100, 100),
        "balance": (50, 50),
        "mean_approach": (30, 30),
        "late_share": (-50, -50),
    }.items():
        assert (v1[weight], v2[weight]) == expected, weight


def test_misspelt_weight_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"reward V3: unknown weight 'latness_per_min'. Did you mean 'lateness_per_min'\?"
    ):
        RewardFunction.load("v3", {"latness_per_min": -1.0})


def test_misspelt_key_of_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("name: mine\nweight: {assigned: 1.0}\n")
    with pytest.raises(ValueError, match=r"reward mine: unknown key 'weight'. Did you mean 'weights'"):
        RewardFunction.load(path)
    path.write_text("name: mine\nlimits: {longest_ride: 1.0}\n")
    with pytest.raises(ValueError, match=r"unknown limit 'longest_ride'. Did you mean 'longest_ride_km'"):
        RewardFunction.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expired": 200.0}, "'expired' is a cost and is paid as written. Write -200.0"),
        ({"assigned": -1.0}, "'assigned' must not be negative"),
        ({"assigned": "50"}, "weight 'assigned': expected a number, came 50"),
        ({"assigned": "5e1"}, "YAML reads 1e-4 as text: write 1.0e-4"),
        ({"assigned": True}, "expected a number, came True"),
        ({"assigned": float("nan")}, "must be finite"),
        ({"lateness_per_min": float("-inf")}, "must be finite"),
        ({"frobnicate": 1.0}, "unknown weight 'frobnicate'. Known: assigned"),
    ],
)
def test_impossible_weight_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RewardFunction.load("v1", changes)


def test_unknown_version_lists_the_known_ones() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"reward 'v9': no such version and no such file. Versions are v1, v2, v3"
    ):
        RewardFunction.load("v9")


def test_single_weights_change_and_the_name_says_so() -> None:
    function = RewardFunction.load("v2", {"idle_wait": 0.0})
    assert function.name == "V2*"
    assert function.weights["idle_wait"] == 0.0
    assert function.weights["assigned"] == 100.0
    assert "idle_wait" not in function.term_names


def test_file_takes_the_place_of_the_version(tmp_path: Path) -> None:
    path = tmp_path / "flat.yml"
    path.write_text(yaml.safe_dump({"name": "flat", "weights": {"assigned": 1.0}}))
    function = RewardFunction.load("v1", str(path))
    assert (function.name, function.term_names, function.bound) == ("flat", ("assigned",), 1.0)


def test_as_record_holds_every_weight() -> None:
    weights = load_weights("v1")
    record = weights.as_record()[0]
    assert {name: float(record[name]) for name in WEIGHTS} == dict(weights.values)


def test_bound_is_the_most_that_one_plausible_trip_pays() -> None:
    # V1: 50 assigned + 10 short approach + 20 priority + 15 prompt; the worst is 50 - 100
    assert RewardFunction.load("v1").bound == pytest.approx(95.0)
    # V2: 100 + 10 + 20 + 15, no approach
    assert RewardFunction.load("v2").bound == pytest.approx(145.0)
    # V3: 50 fare; the worst is 50 - 0.9 x (20 + 30) km - 10 emergency - 30 late = -35
    assert RewardFunction.load("v3").bound == pytest.approx(50.0)


def test_v3_is_refused_when_losing_a_patient_would_pay() -> None:
    # Worst plausible return trip: 50 fare - 0.9 x (20 + 30) km - 10 emergency - (L - 15) late. Losing at -10 is better
    # as soon as -5 - (L - 15) < -10, which is L > 20.
    with pytest.raises(
        ValueError, match="losing a return patient of priority 1 pays better than serving them more than 20"
    ):
        RewardFunction.load("v3", {"lost_return": -10.0})
    # ... and at -400 the delays of 15 others decide, who may miss appointments by them, at 0.1 a minute:
    # -(50 - 45 - 10 - 15) + 15 x (30 + 3) + 18 + 5 = 538
    with pytest.raises(ValueError, match=r"the delays that serving them may bring to others .saves up to 538 CHF"):
        RewardFunction.load("v3", {"lost_return": -400.0})
    RewardFunction.load("v3", {"lost_return": -540.0})


def test_v3_lost_outbound_is_dearest() -> None:
    v3 = load_weights("v3")
    assert v3["lost_outbound"] < v3["lost_return"] < 0.0


def test_file_of_the_project_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_weights("reward/paratransit.yml").name == "paratransit"
