"""
Writes the golden records anew: ``python -m tests.golden.record``.

Only when behaviour was meant to change: look at the difference in git, and say in the changelog what changed and why.
"""

from __future__ import annotations

from tests.golden.records import (
    CASES,
    MODEL_WORLDS,
    MODELS,
    PAID_POLICIES,
    PAID_WORLDS,
    REWARDS,
    WORLDS,
    choices,
    event_logs,
    model_world,
    observations,
    path_of_states,
    reward_terms,
    write,
)


def main() -> None:
    write(
        "events", {world: {policy: event_logs(world, policy) for w, policy in CASES if w == world} for world in WORLDS}
    )
    print("events.json")
    write(
        "terms",
        {
            f"{world} {policy}": {reward: reward_terms(world, policy, reward) for reward in REWARDS}
            for world in PAID_WORLDS
            for policy in PAID_POLICIES
        },
    )
    print("terms.json")
    write("observations", {world: observations(world) for world in WORLDS})
    print("observations.json")
    paths = {world: path_of_states(world) for world in MODEL_WORLDS}
    chosen = {model: choices(model, paths[model_world(model)], clear_only=True) for model in MODELS}
    write("choices", {"path": paths, "model": chosen})
    print("choices.json")


if __name__ == "__main__":
    main()
