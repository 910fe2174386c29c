from __future__ import annotations

import pickle

import pytest
import yaml

from envs.days.generators import OperatingDay, ShortShift
from envs.days.scenario import SCENARIO_DIR, DayFiles, Scenario, generate_day, max_bookings_of_day
from envs.days.travel import PowerLawTravel

SHIPPED = sorted(path.stem for path in SCENARIO_DIR.glob("*.yml"))


def scenario_file(tmp_path, text: str, name: str = "mine.yml"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenario_loads_and_survives_plain_data(name):
    scenario = Scenario.load(name)
    assert Scenario.from_dict(yaml.safe_load(yaml.safe_dump(scenario.to_dict())), name) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario


@pytest.mark.parametrize("name", SHIPPED)
def test_each_chosen_value_of_a_shipped_scenario_has_a_comment(name):
    lines = (SCENARIO_DIR / f"{name}.yml").read_text().splitlines()
    bare = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if "_km" in line.split("#")[0] and ":" in line.split("#")[0] and "#" not in line and "#" not in above
    ]
    assert bare == []


def test_short_shift_is_24_decisions_for_5_drivers_and_15_slots():
    scenario = Scenario.load("short_shift")
    assert (scenario.num_drivers, scenario.max_bookings, scenario.max_trips) == (5, 15, 3)
    assert isinstance(scenario.day, ShortShift)
    # (10:00 - 08:00) / 5 min = 24
    assert (scenario.day.close_min - scenario.day.open_min) / scenario.rules.tick_min == 24


def test_v1_published_is_the_short_shift_with_6_drivers_and_10_slots():
    published = Scenario.load("v1_published")
    assert (published.num_drivers, published.max_bookings) == (6, 10)
    same = Scenario.load("short_shift", num_drivers=6, max_bookings=10)
    assert published.fingerprint() == same.fingerprint()


def test_operating_day_inserts_and_improves_plans():
    rules = Scenario.load("operating_day").rules_record()[0]
    assert (rules["inserts"], rules["improves_plans"], rules["skips_idle_ticks"]) == (1, 1, 1)
    assert (rules["decisions_per_tick"], rules["max_trips"], rules["max_lateness_min"]) == (0, 16, 30)


def test_short_shift_appends_and_asks_once_per_tick():
    rules = Scenario.load("short_shift").rules_record()
    assert rules.shape == (1,)
    rule = rules[0]
    assert (rule["inserts"], rule["improves_plans"], rule["skips_idle_ticks"]) == (0, 0, 0)
    assert (rule["tick_min"], rule["decisions_per_tick"], rule["max_lateness_min"]) == (5, 1, 30)
    assert (rule["expiry_tolerance_min"], rule["insertion_lateness_weight"]) == (0, 1)


def test_paratransit_has_a_hard_window_and_travels_by_the_fitted_law():
    scenario = Scenario.load("paratransit")
    assert (scenario.rules.max_lateness_min, scenario.max_bookings) == (0, 64)
    assert scenario.travel == PowerLawTravel(2.08, 0.845)
    assert scenario.day == DayFiles() and not scenario.is_generated


def test_nothing_goes_wrong_by_default():
    disturbances = Scenario.load("operating_day").disturbances
    assert disturbances == type(disturbances)(0.0, 0.0, 0.0, 0.0)


# --- overrides -------------------------------------------------------------------------------------------------------


def test_overrides_replace_values_by_name():
    scenario = Scenario.load(
        "operating_day", num_drivers=8, max_bookings=64, plan_improvement=False, load=2.0, no_show_rate=0.1
    )
    assert (scenario.drivers_range, scenario.max_bookings, scenario.rules.plan_improvement) == ((8, 8), 64, False)
    assert isinstance(scenario.day, OperatingDay) and scenario.day.load == (2.0, 2.0)
    assert scenario.disturbances.no_show_rate == 0.1


def test_none_overrides_nothing():
    assert Scenario.load("short_shift", num_drivers=None) == Scenario.load("short_shift")


def test_scenario_object_can_be_loaded_and_overridden():
    scenario = Scenario.load("short_shift")
    assert Scenario.load(scenario) == scenario
    assert Scenario.load(scenario, max_bookings=20).max_bookings == 20


def test_range_of_drivers_sizes_the_arrays_by_its_end():
    scenario = Scenario.load("operating_day", num_drivers=[3, 20])
    assert (scenario.num_drivers, scenario.drivers_range) == (20, (3, 20))


def test_rows_for_drivers_can_exceed_the_fleet():
    scenario = Scenario.load("short_shift", max_drivers=20)
    assert (scenario.num_drivers, scenario.drivers_range) == (20, (5, 5))
    assert generate_day(scenario, 0).num_drivers == 5


def test_clock_times_and_sections_may_be_overridden():
    scenario = Scenario.load("short_shift", **{"close_min": "09:00", "rules.tick_min": 10})
    assert isinstance(scenario.day, ShortShift) and scenario.day.close_min == 540.0
    # ticks at 08:00, 08:10, ... 08:50: 7 + 5 x 3
    assert max_bookings_of_day(scenario) == 22


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"num_driver": 3}, r"scenario short_shift: unknown override 'num_driver'. Did you mean 'num_drivers'\?"),
        ({"load": 2.0}, "unknown override 'load'"),  # of the operating day
        ({"max_bookings": 0}, r"sizes: max_bookings \(0\): expected a finite number of at least 1"),
        ({"max_bookings": 2.5}, "max_bookings: expected a whole number, came 2.5"),
        ({"plan_improvement": 1}, "plan_improvement: expected true or false, came 1"),
        ({"num_drivers": [5, 3]}, r"num_drivers \(5 to 3\)"),
        ({"num_drivers": [1, 2, 3]}, r"expected a number or \[low, high\]"),
        ({"max_drivers": 4}, r"max_drivers \(4\) is less than num_drivers \(5\)"),
        ({"close_min": "07:00"}, r"day short_shift: close_min \(420\): expected a time after open_min \(480\)"),
        ({"close_min": "ten"}, "expected minutes since midnight"),
        ({"detour": "1e-1"}, "expected a number, came 1e-1. YAML reads 1e-4 as text"),
        ({"arrival_probability": 1.2}, "expected a share from 0 to 1"),
        ({"no_show_rate": -0.1}, "no_show_rate"),
        ({"center_lat": 95.0}, "off the globe"),
        ({"improvement_lost_min": 300.0}, "does nothing without improvement_moves"),
    ],
)
def test_bad_override_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        Scenario.load("short_shift", **override)


# --- files -----------------------------------------------------------------------------------------------------------


def test_own_scenario_states_only_what_differs(tmp_path):
    path = scenario_file(tmp_path, "extends: short_shift\nsizes: {num_drivers: 7}\nday: {service_min: 4}\n")
    assert Scenario.load(path) == Scenario.from_dict(
        Scenario.load("short_shift", num_drivers=7, service_min=4).to_dict(), "mine"
    )


def test_other_travel_model_replaces_the_whole_section(tmp_path):
    path = scenario_file(tmp_path, "extends: paratransit\ntravel: {model: power_law, minutes_per: 3, exponent: 1}\n")
    assert Scenario.load(path).travel == PowerLawTravel(3, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: short_shift\nrulez: {}\n", r"scenario mine: unknown section 'rulez'. Did you mean 'rules'\?"),
        ("extends: short_shift\nrules: {tick_mins: 5}\n", "rules: unknown key 'tick_mins'. Did you mean 'tick_min'"),
        ("extends: short_shift\nday: {servce_min: 5}\n", "unknown key 'servce_min'. Did you mean 'service_min'"),
        ("rules: {tick_min: 5}\n", "key 'decisions_per_tick' is missing|section 'sizes' is missing"),
        ("extends: short_shift\nday: {generator: shortshift}\n", "unknown generator 'shortshift'. Did you mean"),
        ("extends: short_shft\n", "unknown scenario 'short_shft'. Did you mean 'short_shift'"),
        ("extends: mine.yml\n", "leads back to the file itself"),
        ("- 1\n", "expected sections"),
        ("extends: short_shift\ntravel: {model: power_law, minutes_per: 2, exponent: 1}\n", "travel by hourly speeds"),
    ],
)
def test_bad_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        Scenario.load(scenario_file(tmp_path, text))


def test_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown scenario 'shortshift'. Did you mean 'short_shift'\?"):
        Scenario.load("shortshift")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        Scenario.load(tmp_path / "none.yml")


def test_yaml_is_never_evaluated(tmp_path):
    path = scenario_file(tmp_path, "extends: short_shift\nsizes: {num_drivers: !!python/object/apply:os.getpid []}\n")
    with pytest.raises(ValueError, match="not valid YAML"):
        Scenario.load(path)


# --- identity --------------------------------------------------------------------------------------------------------


def test_fingerprint_changes_with_any_value_but_not_with_the_name():
    scenario = Scenario.load("short_shift")
    assert scenario.fingerprint() != Scenario.load("short_shift", service_min=4).fingerprint()
    assert scenario.fingerprint() == Scenario.from_dict(scenario.to_dict(), "other").fingerprint()


def test_days_from_files_have_no_numbers():
    with pytest.raises(ValueError, match="its days come from files"):
        generate_day(Scenario.load("paratransit"), 3)
    with pytest.raises(ValueError, match="its days come from files"):
        max_bookings_of_day(Scenario.load("paratransit"))


def test_scenario_reads_the_days_it_names(tmp_path):
    (tmp_path / "b.csv").write_text(
        "id,earliest_pickup_min,latest_pickup_min,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon\na,500,530,35,-85,35,-85\n"
    )
    (tmp_path / "f.csv").write_text("id,start_lat,start_lon,shift_start_min,shift_end_min\nd,35,-85,480,720\n")
    scenario = Scenario.load("paratransit", bookings=str(tmp_path / "b.csv"), fleet=str(tmp_path / "f.csv"))
    (day,) = scenario.read_days()
    assert (day.num_bookings, day.travel) == (1, PowerLawTravel(2.08, 0.845))


def test_scenario_without_day_files_says_what_to_set():
    with pytest.raises(ValueError, match=r"no day files. Set folder, or both bookings and fleet"):
        Scenario.load("paratransit").read_days()


def test_fewer_trips_spread_than_the_trips_themselves_need_is_refused():
    with pytest.raises(ValueError, match="is less than the trips alone spread their ends"):
        Scenario.load("operating_day", pickup_std_km=[1.0, 1.0])
