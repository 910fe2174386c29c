"""``DispatchPromise-v0``: contract, rewards that telescope to the log, promises kept, faces that agree."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import envs  # noqa: F401 - registers the ids
from envs.days.scenario import Scenario
from envs.promise_batch import PromiseBatch
from envs.promise_env import PromiseEnv
from envs.promise_vec_env import PromiseVecEnv
from envs.world.records import EventKind
from reward import RewardFunction, RewardV3, episode_terms
from tests.envs.line import booking, driver, line_day

E = EventKind
DISTURBED = {"travel_noise_std": 0.2, "cancellation_rate": 0.1, "no_show_rate": 0.1, "drop_out_rate": 0.4}
WORLDS: dict[str, dict[str, Any]] = {
    "calm": {"plan_improvement": False},
    "improved": {"improvement_moves": 20},
    "disturbed": {"improvement_moves": 20, **DISTURBED},
}


def random_action(mask: np.ndarray, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(mask)))


def played(env: PromiseEnv, day: int, seed: int) -> tuple[float, dict[str, Any]]:
    """Sum of the rewards and last info of a day with random valid actions."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(options={"day": day})
    total, terminated = 0.0, False
    while not terminated:
        observation, reward, terminated, _, info = env.step(random_action(observation["action_mask"], rng))
        total += reward
    return total, info


def events_of(env: PromiseEnv) -> list[dict[str, float]]:
    rows = env.batch.world.events[0, : int(env.batch.world.clocks["num_events"][0])]
    return [{name: row[name].item() for name in rows.dtype.names or ()} for row in rows]


# --- contract ---------------------------------------------------------------------------------------------------------


def test_checkers_pass_without_warnings():
    env = gym.make("DispatchPromise-v0", plan_improvement=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*unconventional shape.*")  # options are 2-D on purpose
        sb3_check_env(env, warn=True)
        gymnasium_check_env(env.unwrapped, skip_render_check=True)


def test_shapes_and_mask_follow_the_shifts():
    env = gym.make("DispatchPromise-v0", shifts_min=(-20, 0, 20), plan_improvement=False)
    observation, _ = env.reset(options={"day": 1_000_000})
    assert env.action_space.n == 4
    assert {key: array.shape for key, array in observation.items()} == {
        "options": (4, 13),
        "caller": (7,),
        "fleet": (5,),
        "action_mask": (4,),
    }
    assert np.array_equal(env.unwrapped.action_masks(), observation["action_mask"].astype(bool))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "operating_day"}, "promises: at_call"),
        ({"shifts_min": ()}, "at least one shift"),
        ({"shifts_min": (0, 0)}, "rising"),
        ({"shifts_min": (0, float("nan"))}, "finite"),
        ({"shifts_min": "15"}, "expected minutes"),
        ({"shifts_min": ("a",)}, "expected a number"),
        ({"discomfort_per_min": -0.1}, "discomfort_per_min: expected a number of at least 0"),
        ({"decline_per_min": float("inf")}, "decline_per_min: expected a finite number"),
        ({"decline_per_min": True}, "decline_per_min: expected a number"),
        ({"forecast": np.zeros(3)}, "square table"),
        ({"forecast": [["a"]]}, "square table of numbers"),
        ({"forecast": [[-1.0]]}, "at least 0"),
        ({"max_bookngs": 3}, "max_bookings"),
    ],
)
def test_what_cannot_be_is_said(settings, message):
    with pytest.raises(ValueError, match=message):
        PromiseEnv(**settings)


@pytest.mark.parametrize("action", [6, -1, 1.5])
def test_an_action_outside_of_the_space_is_an_error_and_changes_nothing(action):
    env = PromiseEnv(plan_improvement=False)
    with pytest.raises(RuntimeError, match="before reset"):
        env.step(0)
    before, _ = env.reset(options={"day": 1_000_000})
    with pytest.raises(ValueError, match="expected"):
        env.step(action)
    assert env.batch.world.clocks["num_decisions"][0] == 0
    assert all(np.array_equal(before[key], env.batch.observation[key][0]) for key in before)


def test_days_from_files_and_text_view():
    # pickup 10 km away: 20 min, and 30 x 0.2 of discomfort
    day = line_day([booking("b0", (10, 15), (540, 550))], [driver("d0", 0)])
    env = PromiseEnv("paratransit_promises", day_list=[day], render_mode="ansi", num_drivers=3)
    _, info = env.reset()
    assert info["day"] == "line" and "d0" in env.render()
    _, reward, terminated, _, info = env.step(4)
    assert (terminated, info["answer"]) == (True, "promised")
    assert reward == pytest.approx(-26.0)
    assert info["kpis"]["num_served"] == 1
    assert info["desk"] == pytest.approx(
        {
            "num_offers": 1,
            "num_declined": 0,
            "shifted_share": 1,
            "shift_mean_min": 30,
            "discomfort": 6,
            "cost": 26,
            "start_cost": 0,
        }
    )


# --- rewards ----------------------------------------------------------------------------------------------------------


def cost_by_log(env: PromiseEnv) -> float:
    """Deadhead minutes + 300 per lost booking + 300 more per broken one + 0.2 per minute of shift."""
    cost = 0.0
    departed: dict[float, float] = {}
    for event in events_of(env):
        kind, k = event["kind"], event["booking"]
        if kind == E.DEPART:
            departed[event["driver"]] = event["time_min"]
        elif kind in (E.PICKUP, E.NO_SHOW, E.ABANDON):
            cost += event["time_min"] - departed[event["driver"]]
            if kind == E.NO_SHOW:  # logged after the driver has waited as long as a pickup takes
                cost -= float(env.batch.world.bookings["pickup_service_min"][0, int(k)])
        elif kind in (E.EXPIRE, E.REFUSE, E.BREAK):
            cost += 300.0
        elif kind == E.PROMISE:
            cost += 0.2 * abs(event["moved_min"])
    return cost


@pytest.mark.parametrize("world", WORLDS)
def test_rewards_sum_to_what_the_log_says(world):
    env = PromiseEnv(load=2.0, promise_moves=20, decline_per_min=0.005, **WORLDS[world])
    kinds = set()
    for seed in range(4):
        total, info = played(env, 1_000_000 + seed, seed)
        assert total == pytest.approx(-(cost_by_log(env) - info["desk"]["start_cost"]), abs=1e-6)
        assert info["desk"]["cost"] == pytest.approx(cost_by_log(env))
        kinds |= {event["kind"] for event in events_of(env)}
    assert {E.OFFER, E.PROMISE, E.REFUSE} <= kinds
    if world == "disturbed":
        assert {E.NO_SHOW, E.CANCEL, E.DROP_OUT} <= kinds


def test_an_abandoned_approach_is_paid_and_its_patient_looked_after():
    # d0 leaves for b0 (km 10) at 08:20 to be there at 08:40, and drops out at 08:27, told at 08:30: 10 min driven.
    # d1 at km 25 is 30 min away and takes over: there at 09:00, 10 min late. 40 min without a patient in all.
    env = PromiseEnv(plan_improvement=False, freeze_min=0.0, freeze_slack_min=0.0, promise_moves=0)
    day = line_day([booking("b0", (10, 15), (520, 530))], [driver("d0", 0), driver("d1", 25)])
    env.reset(options={"day": day})
    env.batch.world.clocks["has_disturbances"] = 1
    env.batch.world.drivers["drop_out_min"][0, 0] = 507.0
    _, reward, terminated, _, info = env.step(2)
    assert terminated and info["kpis"]["num_served"] == 1
    assert reward == pytest.approx(-(10.0 + 30.0))
    assert reward == pytest.approx(-cost_by_log(env))


def test_v3_pays_with_its_terms_minus_the_discomfort():
    v3 = RewardFunction.load("v3")
    env = PromiseEnv(load=2.0, plan_improvement=False, reward_function=v3)
    total, info = played(env, 1_000_001, 0)
    terms = episode_terms(env.batch.world, 0, v3.weights)
    assert total == pytest.approx(sum(terms.values()) - info["desk"]["discomfort"])


def test_a_reward_wrapper_that_would_drop_the_discomfort_is_an_error():
    with pytest.raises(TypeError, match="pays by itself"):
        RewardV3(gym.make("DispatchPromise-v0"))


# --- promises ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_answered_promises_are_kept(seed):
    env = PromiseEnv(load=2.0, promise_moves=20, improvement_moves=20, decline_per_min=0.005)
    played(env, 1_000_000 + seed, seed)
    called, offered, promised, refused, picked_up, served = {}, {}, {}, {}, {}, set()
    for event in events_of(env):
        k = event["booking"]
        if event["kind"] == E.RELEASE:
            called[k] = event
        elif event["kind"] == E.OFFER:
            assert k not in offered  # one decision per caller
            offered[k] = event
        elif event["kind"] == E.PROMISE:
            promised[k] = event
        elif event["kind"] == E.REFUSE:
            refused[k] = event["time_min"]
        elif event["kind"] == E.PICKUP:
            picked_up[k] = event["time_min"]
        elif event["kind"] == E.DROPOFF:
            served.add(k)
        assert event["kind"] not in (E.BREAK, E.EXPIRE)
    assert served == set(promised) and set(promised).isdisjoint(refused)
    assert len(promised) + len(refused) == env.batch.world.clocks["num_bookings"][0]
    for k, offer in offered.items():
        assert offer["time_min"] == called[k]["time_min"]  # the log has the call at the tick at which it is known
        assert offer["pickup_min"] == called[k]["pickup_min"] + offer["moved_min"]
        assert k in promised or refused[k] == offer["time_min"]
    for k, promise in promised.items():
        assert promise["time_min"] == called[k]["time_min"]
        assert promise["moved_min"] == (offered[k]["moved_min"] if k in offered else 0.0)
        assert picked_up[k] >= called[k]["pickup_min"] + promise["moved_min"] - 1e-6  # not before the window promised


# --- faces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pays", [None, "v3"])
def test_the_batch_agrees_with_single_environments_step_by_step(pays):
    settings: dict[str, Any] = {
        "load": 2.0,
        "decline_per_min": 0.005,
        "promise_moves": 20,
        "improvement_moves": 20,
        "reward_function": pays and RewardFunction.load(pays),
        "forecast": np.full((24, 24), 3.0),
        **DISTURBED,
    }
    together = PromiseVecEnv(3, days=(100, 103), in_order=True, **settings)
    for b, stream in enumerate(together._streams):
        stream._position = b  # row b begins with day 100 + b
    singles = [PromiseEnv(days=(100 + b, 101 + b), **settings) for b in range(3)]
    batch_seen = together.reset()
    seen = [env.reset()[0] for env in singles]
    done, returns, rng = [False] * 3, np.zeros(3), np.random.default_rng(5)
    while not all(done):
        actions = rng.integers(6, size=3)  # masked ones too
        for b in range(3):
            if not done[b]:
                for key in seen[b]:
                    assert np.array_equal(batch_seen[key][b], seen[b][key]), key
        batch_seen, rewards, dones, infos = together.step(actions)
        for b in range(3):
            if done[b]:
                continue
            seen[b], reward, done[b], _, info = singles[b].step(actions[b])
            returns[b] += reward
            assert reward == rewards[b] and done[b] == dones[b]
            assert info["elapsed_min"] == infos[b]["elapsed_min"]
            if done[b]:
                assert infos[b]["episode"]["r"] == pytest.approx(returns[b])
                assert infos[b]["kpis"] == pytest.approx(info["kpis"], nan_ok=True)
                assert infos[b]["desk"] == pytest.approx(info["desk"], nan_ok=True)
                for key, array in seen[b].items():
                    assert np.array_equal(infos[b]["terminal_observation"][key], array)


def test_restored_desks_go_on_as_the_first_ones():
    def play(env: PromiseVecEnv, observation: Any, count: int) -> tuple[Any, list[Any]]:
        seen = []
        for _ in range(count):
            observation, rewards, dones, _ = env.step(observation["action_mask"].argmax(axis=1))
            seen.append(({key: array.copy() for key, array in observation.items()}, rewards, dones.copy()))
        return observation, seen

    def made() -> PromiseVecEnv:
        return PromiseVecEnv(3, seed=5, plan_improvement=False, reward_function=RewardFunction.load("v3"))

    first = made()
    observation, _ = play(first, first.reset(), 7)
    saved, seen_then = pickle.dumps(first.snapshot()), {key: array.copy() for key, array in observation.items()}
    second = made()
    second.restore(pickle.loads(saved))
    _, expected = play(first, observation, 60)
    _, got = play(second, seen_then, 60)
    for one, other in zip(expected, got, strict=True):
        assert all(np.array_equal(one[0][key], other[0][key]) for key in one[0])
        assert np.array_equal(one[1], other[1]) and np.array_equal(one[2], other[2])


def test_features_stay_within_their_bounds_on_full_days():
    batch = PromiseBatch(Scenario.load("operating_day_promises", load=3.0, plan_improvement=False, **DISTURBED), 4)
    batch.load_generated_days(np.arange(4), np.arange(1_000_000, 1_000_004))
    batch.refresh()
    rng = np.random.default_rng(0)
    while not batch.is_done.all():
        for b in range(4):
            single = {key: array[b] for key, array in batch.observation.items()}
            assert batch.observation_space.contains(single)
        batch.step([random_action(mask, rng) for mask in batch.observation["action_mask"]])
