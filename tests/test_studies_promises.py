"""The tables of promises: what is played in a world, and differences to the best re-planner that keeps promises too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.days.scenario import Scenario
from studies import promises
from studies.promises import FREEZES, KPIS, Cell, build_parser, cells_of, main, table


def keep(folder, cell: Cell, judged: list[float], ms: float = 1.0, **kpis: float) -> None:
    values: dict[str, Any] = {name: np.full(len(judged), kpis.get(name, 1.0)) for name in KPIS}
    clusters = np.array([f"day {i}" for i in range(len(judged))])
    np.savez(folder / f"{cell.name}.npz", judged=np.array(judged), clusters=clusters, ms=np.array([0.0, ms]), **values)
    (folder / f"{cell.name}.done").touch()


def test_every_setting_makes_a_scenario():
    for world, scenario in (("real-8", "paratransit_promises"), ("20x60", "operating_day_promises")):
        for cell in cells_of(world):
            rules = Scenario.load(scenario, **cell.overrides).rules
            assert rules.promises_at_call == (cell.setting != "no promises")
            if cell.setting.startswith("freeze"):
                assert rules.freeze_min == float(cell.setting.removeprefix("freeze "))
    settings = [cell.setting for cell in cells_of("real-8")]
    assert len({cell.name for cell in cells_of("real-8")}) == len(settings)
    assert {f"freeze {minutes}" for minutes in FREEZES if minutes != 30} <= set(settings)


def test_table_by_hand(tmp_path):
    # 8 drivers: 100, 200 (150) against 90 and 190 of the re-planner, ten more on both days; 10 drivers: not played.
    # 20 bookings over both days, of which 2 + 2 are lost
    cells = [
        Cell("real-8", "rule", "1000 moves"),
        Cell("real-8", "replan_search", "re-planner"),
        Cell("real-8", "rule", "no promises"),
    ]
    keep(tmp_path, cells[0], [100.0, 200.0], ms=3.0, num_lost=2.0, num_bookings=10.0, driver_changed_share=0.25)
    keep(tmp_path, cells[1], [90.0, 190.0])
    keep(tmp_path, cells[2], [50.0, 50.0], num_broken=3.0)
    args = build_parser().parse_args(["--folder", str(tmp_path)])
    rule, _, free = table("promises-real-days", cells, ["real-8", "real-10"], -1.0, args).rows
    assert rule["judged"] == [150.0, None]
    assert rule["difference"] == [{"mean": 10.0, "low": 10.0, "high": 10.0}, None]
    assert (rule["lost"][0], rule["changed"][0], rule["ms"][0]) == (20.0, 25.0, 3.0)
    assert (free["broken"][0], free["difference"]) == (3.0, [None, None])  # another problem: in no ranking


@pytest.mark.slow
def test_a_small_study_runs_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(promises, "SIZES", {"4x30": (2, 5, 1.0, 2)})
    monkeypatch.setattr(promises, "cells_of", lambda world: [Cell(world, "nearest_driver", "0 moves")])
    monkeypatch.setattr(promises, "run_all", lambda jobs, folder, workers: run_here(jobs, folder))
    arguments = ["--sizes", "4x30", "--folder", str(tmp_path), "--output", str(tmp_path / "results")]
    assert main(arguments) == 0
    assert "nearest_driver" in capsys.readouterr().out


def run_here(jobs, folder) -> None:
    for job in jobs:
        assert main(list(job.command[3:])) == 0
        (folder / f"{job.name}.done").touch()
