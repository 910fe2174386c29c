"""
A worker that fills a study with a toy objective: ``python -m tests.training.search.toy_worker``.

The score of a trial is its ``x``. With ``--hang-at SLOT`` the first trial of that slot prints "hanging" and never ends.
"""

from __future__ import annotations

import argparse
import time

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution

from training.search import slots, storage

DISTRIBUTIONS: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}


def supply_of(shared, name: str, total: int) -> slots.Supply:
    study = None
    while study is None:
        try:
            with shared.exclusive(name):
                opened = optuna.create_study(
                    storage=shared.storage, study_name=name, direction="maximize", load_if_exists=True
                )
            study = opened
        except storage.LockLost:  # the server was restarted meanwhile; as `training.search.study.open_study`
            continue
    return slots.Supply(
        study, shared, total, DISTRIBUTIONS, lambda slot: optuna.samplers.RandomSampler(slots.seed_of(0, slot)), {}
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--total", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--hang-at", type=int, default=-1)
    args = parser.parse_args()
    storage.HEARTBEAT_S, storage.GRACE_S, slots.POLL_S = 1, 10, 0.2
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shared = storage.open_storage(args.url)
    supply = supply_of(shared, "toy", args.total)

    def objective(trial: optuna.Trial) -> float:
        is_retry = trial.user_attrs.get(slots.QUEUED_FOR) is not None
        if trial.user_attrs[slots.SLOT] == args.hang_at and not is_retry:
            print("hanging", flush=True)
            time.sleep(3600)
        time.sleep(args.seconds)
        trial.report(trial.params["x"], 1)
        return trial.params["x"]

    slots.fill(supply, objective)
    shared.close()


if __name__ == "__main__":
    main()
