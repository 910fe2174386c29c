"""What the pair network promises about order, size, absence and its start."""

from __future__ import annotations

import numpy as np
import pytest
import torch as th

from agents.masking import INFEASIBLE
from agents.pair_network import PairQNetwork
from agents.policies import PairPolicy
from tests.agents.toy import ToyDispatch

N, M = 5, 15


def random_obs(batch: int = 16, n: int = N, m: int = M, seed: int = 0) -> dict[str, th.Tensor]:
    """Observations with absent drivers and bookings, and pairs of present ones feasible half of the time."""
    rng = np.random.default_rng(seed)
    obs = {
        key: rng.uniform(-1, 1, (batch, *(box.shape or ())))
        for key, box in make_env(n, m).observation_space.spaces.items()
    }
    has_driver, has_booking = rng.random((batch, n)) < 0.7, rng.random((batch, m)) < 0.6
    obs["drivers"][..., 0], obs["bookings"][..., 0] = has_driver, has_booking
    obs["drivers"][~has_driver] = 0
    obs["bookings"][~has_booking] = 0
    feasible = has_driver[:, :, None] & has_booking[:, None, :] & (rng.random((batch, n, m)) < 0.5)
    obs["pairs"][..., 0] = feasible.reshape(batch, -1)
    obs["pair_reward"] *= feasible.reshape(batch, -1)
    obs["action_mask"] = np.concatenate([np.ones((batch, 1)), feasible.reshape(batch, -1)], axis=1)
    tensors = {key: th.as_tensor(value, dtype=th.float32) for key, value in obs.items()}
    tensors["action_mask"] = tensors["action_mask"].to(th.int8)
    return tensors


def make_env(n: int = N, m: int = M) -> ToyDispatch:
    return ToyDispatch(num_drivers=n, max_bookings=m)


def network(n: int = N, m: int = M, trained: bool = True, **kwargs) -> PairQNetwork:
    env = make_env(n, m)
    th.manual_seed(0)
    net = PairQNetwork(env.observation_space, env.action_space, **kwargs)
    if trained:  # heads start at zero and would hide everything
        for head in (net.score_head, net.value_head, net.wait_head):
            th.nn.init.normal_(head.weight)
    return net


def permuted(obs: dict[str, th.Tensor], drivers: th.Tensor, bookings: th.Tensor) -> dict[str, th.Tensor]:
    batch, n, m = len(obs["clock"]), len(drivers), len(bookings)

    def pairwise(rows: th.Tensor) -> th.Tensor:
        return rows.reshape(batch, n, m, *rows.shape[2:])[:, drivers][:, :, bookings].reshape(rows.shape)

    return {
        **obs,
        "drivers": obs["drivers"][:, drivers],
        "bookings": obs["bookings"][:, bookings],
        "pairs": pairwise(obs["pairs"]),
        "pair_reward": pairwise(obs["pair_reward"]),
        "action_mask": th.cat([obs["action_mask"][:, :1], pairwise(obs["action_mask"][:, 1:])], dim=1),
    }


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"dueling": True},
        {"pair_mixing": True},
        {"mixing_layers": 0},
        {"mixing_layers": 2, "width": 32},
    ],
)
def test_order_of_drivers_and_bookings_only_orders_the_scores(kwargs):
    net, obs = network(**kwargs), random_obs()
    drivers, bookings = th.randperm(N), th.randperm(M)
    with th.no_grad():
        q, q_permuted = net(obs), net(permuted(obs, drivers, bookings))
    pairs = q[:, 1:].reshape(-1, N, M)[:, drivers][:, :, bookings].reshape(len(q), -1)
    expected = th.cat([q[:, :1], pairs], dim=1)
    assert th.allclose(q_permuted, expected, atol=1e-5)


def test_before_training_the_greedy_choice_is_the_greedy_reward():
    net, obs = network(trained=False, pair_reward_scale=3.0), random_obs()
    reward = th.cat([obs["wait_reward"], obs["pair_reward"]], dim=1).masked_fill(obs["action_mask"] == 0, -9.0)
    with th.no_grad():
        q = net(obs)
    assert (q.argmax(dim=1) == reward.argmax(dim=1)).all()
    feasible = obs["action_mask"].bool()
    assert th.allclose(q[feasible], 3.0 * reward[feasible], atol=1e-6)


def test_dueling_starts_as_the_greedy_reward_too():
    net, obs = network(trained=False, dueling=True), random_obs()
    reward = th.cat([obs["wait_reward"], obs["pair_reward"]], dim=1).masked_fill(obs["action_mask"] == 0, -9.0)
    assert (net(obs).argmax(dim=1) == reward.argmax(dim=1)).all()


def test_dueling_takes_off_the_mean_over_feasible_actions():
    net, obs = network(dueling=True), random_obs()
    with th.no_grad():
        q, value = net(obs), net.values(net.embed(obs))
    feasible = obs["action_mask"].bool()
    mean = q.masked_fill(~feasible, 0.0).sum(dim=1) / feasible.sum(dim=1)
    assert th.allclose(mean, value, atol=1e-4)  # the advantages' mean is zero: what is left is V


@pytest.mark.parametrize("pair_mixing", [False, True])
def test_absent_rows_and_infeasible_pairs_have_no_influence(pair_mixing):
    net, obs = network(pair_mixing=pair_mixing), random_obs()
    changed = {key: value.clone() for key, value in obs.items()}
    changed["drivers"][obs["drivers"][..., 0] == 0, 1:] = 7.0
    changed["bookings"][obs["bookings"][..., 0] == 0, 1:] = -7.0
    infeasible = obs["action_mask"][:, 1:] == 0
    changed["pairs"][infeasible] = 7.0
    changed["pair_reward"][infeasible] = 7.0
    with th.no_grad():
        assert th.equal(net(obs), net(changed))


@pytest.mark.parametrize("pair_mixing", [False, True])
def test_more_padding_changes_nothing(pair_mixing):
    net, obs = network(pair_mixing=pair_mixing), random_obs(n=5, m=15)
    big = {key: th.zeros(16, *(box.shape or ())) for key, box in make_env(8, 20).observation_space.spaces.items()}
    big["drivers"][:, :5], big["bookings"][:, :15] = obs["drivers"], obs["bookings"]
    big["clock"], big["wait_reward"] = obs["clock"], obs["wait_reward"]
    big["pairs"].view(16, 8, 20, -1)[:, :5, :15] = obs["pairs"].view(16, 5, 15, -1)
    big["pair_reward"].view(16, 8, 20)[:, :5, :15] = obs["pair_reward"].view(16, 5, 15)
    mask = th.zeros(16, 8, 20, dtype=th.int8)
    mask[:, :5, :15] = obs["action_mask"][:, 1:].view(16, 5, 15)
    big["action_mask"] = th.cat([th.ones(16, 1, dtype=th.int8), mask.view(16, -1)], dim=1)
    other = network(8, 20, pair_mixing=pair_mixing)
    other.load_state_dict(net.state_dict())  # the weights know neither N nor M
    with th.no_grad():
        q, q_big = net(obs), other(big)
    assert th.allclose(q_big[:, 0], q[:, 0], atol=1e-5)
    assert th.allclose(q_big[:, 1:].view(16, 8, 20)[:, :5, :15].reshape(16, -1), q[:, 1:], atol=1e-5)


@pytest.mark.parametrize("kwargs", [{}, {"dueling": True}, {"pair_mixing": True}])
def test_score_of_the_taken_action_is_the_one_among_all(kwargs):
    net, obs = network(**kwargs), random_obs()
    actions = th.multinomial(obs["action_mask"].float(), 1)
    packed = packed_form(obs)
    with th.no_grad():
        expected = net(obs).gather(1, actions).squeeze(1)
        assert th.allclose(net.q_of_actions(obs, actions), expected, atol=1e-5)
        assert th.allclose(net.q_of_actions(packed, actions), expected, atol=1e-5)
        assert th.allclose(net(packed), net(obs), atol=1e-5)


def packed_form(obs: dict[str, th.Tensor]) -> dict[str, th.Tensor]:
    at = obs["action_mask"][:, 1:].reshape(-1).nonzero().squeeze(1)
    pairs = obs["pairs"].reshape(-1, obs["pairs"].shape[-1])[at]
    return {**obs, "pair_at": at, "pairs": pairs, "pair_reward": obs["pair_reward"].reshape(-1)[at]}


def test_mixing_lets_a_pair_feel_its_rivals_and_no_other():
    net, obs = network(pair_mixing=True, mixing_layers=0), random_obs(batch=1)
    for layer in (net.pool,):  # what the whole observation tells everybody is not the point here
        th.nn.init.zeros_(layer[0].weight)
    obs["action_mask"][:] = 0
    drivers, bookings = obs["drivers"][0, :, 0].nonzero()[:2, 0], obs["bookings"][0, :, 0].nonzero()[:2, 0]
    (d0, d1), (b0, b1) = drivers.tolist(), bookings.tolist()
    rival, other, mine = 1 + d0 * M + b1, 1 + d1 * M + b1, 1 + d0 * M + b0
    obs["action_mask"][0, [0, rival, other, mine]] = 1
    with th.no_grad():
        before = net(obs)
        obs["pairs"][0, rival - 1] += 0.5  # another pair of my driver
        assert not th.isclose(net(obs)[0, mine], before[0, mine])
        obs["pairs"][0, rival - 1] -= 0.5
        obs["pairs"][0, other - 1] += 0.5  # neither my driver nor my booking
        assert th.isclose(net(obs)[0, mine], before[0, mine])


def test_nothing_feasible_and_nobody_there_is_finite():
    obs = {key: th.zeros(2, *(box.shape or ())) for key, box in make_env().observation_space.spaces.items()}
    q = network()(obs)
    assert (q == INFEASIBLE).all()
    assert q.argmax(dim=1).tolist() == [0, 0]


def test_feasible_pair_of_an_absent_driver_is_an_error():
    obs = {key: th.zeros(1, *(box.shape or ())) for key, box in make_env().observation_space.spaces.items()}
    obs["action_mask"][0, 1] = 1
    with pytest.raises((IndexError, RuntimeError)):
        network()(obs)


def test_immediate_reward_can_be_left_out():
    env = make_env()
    for key in ("pair_reward", "wait_reward"):
        del env.observation_space.spaces[key]
    net = PairQNetwork(env.observation_space, env.action_space, use_pair_reward=False)
    assert (net(random_obs())[:, 0] == 0).all()
    with pytest.raises(ValueError, match="no pair_reward, wait_reward"):
        PairQNetwork(env.observation_space, env.action_space)


def test_policy_is_saved_and_loaded_on_its_own(tmp_path):
    env = make_env()
    policy = PairPolicy(env.observation_space, env.action_space, lambda _: 1e-3, width=32, averaged=True)
    th.nn.init.normal_(policy.q_net_average.score_head.weight)
    policy.save(str(tmp_path / "policy"))
    loaded = PairPolicy.load(str(tmp_path / "policy"), device="cpu")
    obs, _ = env.reset(seed=0)
    assert loaded.predict(obs, deterministic=True)[0] == policy.predict(obs, deterministic=True)[0]
    assert th.equal(loaded.q_net_average(random_obs()), policy.q_net_average(random_obs()))


def test_default_network_is_small():
    assert sum(p.numel() for p in network().parameters()) < 80_000
