"""A search in plain data: what is searched, on which days it is judged, how it is run."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from checked import SettingsError
from envs import SELECTION_DAYS
from evaluation.runner import Case
from evaluation.setup import make_scenario
from training.real_days import numbered, read_day_lists
from training.rewards import reward_of_wrapper
from training.search import spaces
from training.search.trial import Task

RETEST_SUFFIX = "-retest"  # study of the re-test
# How a search is run; everything else decides what a trial is worth, and all who join a study must agree on it.
RUN_ONLY = (
    "storage",
    "study_name",
    "n_trials",
    "n_jobs",
    "top_k",
    "retest_seeds",
    "folder",
    "device",
    "num_threads",
    "gym_packages",
    "columns",
    "days_from",  # lies elsewhere on another machine; its days are compared instead
)


@dataclass(frozen=True)
class Search:
    """
    Everything about a search, in plain data.

    Attributes
    ----------
    block
        The YAML block that the search starts from.
    n_timesteps
        Decisions of a trial; the re-test trains for as long as the block says.
    n_evaluations
        Times a trial is judged, the last time at its end.
    objective_days
        The selection days from the first on that trials are judged on; the re-test plays the others.
    """

    algo: str
    env_id: str
    env_wrapper: Any
    env_kwargs: dict[str, Any]
    eval_env_kwargs: dict[str, Any]
    block: dict[str, Any]
    n_timesteps: int
    n_evaluations: int
    objective_days: int
    seed: int
    sampler: str
    pruner: str
    n_startup_trials: int
    days_from: list[str] | None
    train_days: str
    eval_days: str
    storage: str
    study_name: str
    n_trials: int
    n_jobs: int
    top_k: int
    retest_seeds: int
    folder: str
    device: str
    num_threads: int
    gym_packages: tuple[str, ...] = ()
    columns: str | None = None

    @property
    def space(self) -> tuple[spaces.Dimension, ...]:
        return spaces.find_space(self.algo, self.block)

    @property
    def reward(self) -> str:
        """Version or path of the reward."""
        version, weights, _ = reward_of_wrapper(self.env_wrapper)
        if weights is not None:
            raise SettingsError("search: env_wrapper changes single weights. Write them into a file for --reward.")
        return version

    def identity(self) -> dict[str, Any]:
        """What everybody who joins the study must have the same."""
        values = {key: value for key, value in dataclasses.asdict(self).items() if key not in RUN_ONLY}
        values["scenario_fingerprint"] = self.scenario().fingerprint()
        values["space_version"] = spaces.SPACE_VERSION
        if self.days_from:
            values["days"] = [[case.label for case in cases] for cases in self.days()[1:]]
        return json.loads(json.dumps(values))

    def scenario(self) -> Any:
        """The world that agents are judged in."""
        kwargs = {**self.env_kwargs, **self.eval_env_kwargs}
        for key in ("days", "day_list", "in_order", "render_mode"):
            kwargs.pop(key, None)
        return make_scenario(self.env_id, kwargs.pop("scenario", None), kwargs)

    def days(self) -> tuple[list[Any] | None, list[Case], list[Case]]:
        """Training days (None: generated), cases of the objective, cases of the re-test: three sets without overlap."""
        if not self.days_from:
            first, end = SELECTION_DAYS.start, SELECTION_DAYS.stop
            if not 0 < self.objective_days < end - first:
                raise SettingsError(
                    f"--objective-days {self.objective_days}: expected 1 to {end - first - 1} of the {end - first} "
                    "selection days; the others are for the re-test."
                )
            cases = [Case(day, str(day), str(day)) for day in range(first, end)]
            return None, cases[: self.objective_days], cases[self.objective_days :]
        training, selection = read_day_lists(self.days_from, self.train_days, self.eval_days, self.columns)
        assert selection is not None
        number_of = {
            day.label: number for number, day in numbered(list({day.label: day for day in selection}.values())).items()
        }
        numbers = sorted(set(number_of.values()))
        half = set(numbers[: (len(numbers) + 1) // 2])
        cases = [Case(day, f"{i}/{day.label}", str(number_of[day.label])) for i, day in enumerate(selection)]
        objective = [case for case in cases if int(case.cluster) in half]
        return training, objective, [case for case in cases if int(case.cluster) not in half]

    def task(self) -> Task:
        return Task(self.algo, self.env_id, self.env_wrapper, self.env_kwargs, self.days()[0], self.device)

    def block_of(self, params: dict[str, Any]) -> dict[str, Any]:
        """The YAML block with a trial's parameters put in."""
        return spaces.merge(self.block, spaces.to_settings(params, self.space))


def retest_name(search: Search) -> str:
    """A longer search, or one that re-tests more, has other candidates."""
    return f"{search.study_name}{RETEST_SUFFIX}-{search.n_trials}-top{search.top_k}"
