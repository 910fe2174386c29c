"""
The pair network: one score per (driver, booking) from weights that don't depend on how many there are of either.

Only drivers and bookings that are present get encoded, and only feasible pairs get scored.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from agents.masking import INFEASIBLE, MASK_KEY
from agents.replay import PAIR_AT

Obs = dict[str, th.Tensor]
NEEDED_KEYS = ("drivers", "bookings", "pairs", "clock", MASK_KEY)


class Embedded(NamedTuple):
    """What the scores are made of; B observations, N drivers and M bookings each."""

    drivers: th.Tensor  # (present drivers, width)
    driver_row: th.Tensor  # int64, (B * N,): row in `drivers`, -1 where absent
    bookings: th.Tensor  # (present bookings, width)
    booking_row: th.Tensor  # int64, (B * M,)
    context: th.Tensor  # (B, width)


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with a ReLU after each."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.ReLU()]
    return nn.Sequential(*layers)


def zero_head(width: int) -> nn.Linear:
    """A last layer that starts at zero, so that what it corrects starts uncorrected."""
    head = nn.Linear(width, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


class RowAndWhole(nn.Module):
    """
    A linear layer over [row, what belongs to the row's whole observation], as the sum of two.

    The second part is worked out once per observation instead of once per row.
    """

    def __init__(self, row_dim: int, whole_dim: int, width: int) -> None:
        super().__init__()
        self.row = nn.Linear(row_dim, width)
        self.whole = nn.Linear(whole_dim, width, bias=False)

    def forward(self, rows: th.Tensor, whole: th.Tensor, whole_of: th.Tensor) -> th.Tensor:
        return th.relu(self.row(rows) + self.whole(whole).index_select(0, whole_of))


class Mixing(nn.Module):
    """Drivers and bookings each learn of the whole: x <- x + relu(W [x, context]), then the context is pooled anew."""

    def __init__(self, width: int, num_extra: int) -> None:
        super().__init__()
        self.driver_update = RowAndWhole(width, width, width)
        self.booking_update = RowAndWhole(width, width, width)
        self.pool = mlp(3 * width + num_extra, width)


class PairMixing(nn.Module):
    """
    Pairs learn of their rivals: the largest of each hidden unit over the driver's pairs and over the booking's pairs.

    What a driver could do instead, and who else could serve the booking, is what an assignment takes away.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_pair = nn.Linear(width, width)
        self.of_driver = nn.Linear(width, width, bias=False)
        self.of_booking = nn.Linear(width, width, bias=False)

    def forward(
        self, hidden: th.Tensor, driver: th.Tensor, num_drivers: int, booking: th.Tensor, num_bookings: int
    ) -> tuple[th.Tensor, th.Tensor]:
        of_driver = largest(hidden, driver, num_drivers)
        of_booking = largest(hidden, booking, num_bookings)
        mixed = self.of_pair(hidden) + self.of_driver(of_driver).index_select(0, driver)
        return hidden + th.relu(mixed + self.of_booking(of_booking).index_select(0, booking)), of_driver


def largest(rows: th.Tensor, group: th.Tensor, num_groups: int) -> th.Tensor:
    """Largest of each column within each group, 0 for a group without rows; rows are not negative."""
    at = group.unsqueeze(1).expand_as(rows)
    return rows.new_zeros(num_groups, rows.shape[1]).scatter_reduce(0, at, rows, "amax")


class PairQNetwork(BasePolicy):
    """
    Q-values of wait and of every feasible (driver, booking).

    ``Q(pair) = V(context) + pair_reward_scale * pair_reward + f(driver, booking, pair, context)`` and
    ``Q(wait) = V(context) + pair_reward_scale * wait_reward + g(context)``. The last layers of V, f and g start at
    zero: before any training the greedy choice over Q is the greedy choice over the immediate reward, and V, shared
    by all actions, learns the level of the return without touching the choice.

    The context pools drivers and bookings: sums divided by the drivers present (so the load per driver is seen,
    whatever the fleet), the mean over bookings, and bookings and feasible pairs per driver. Permuting drivers or
    bookings permutes the scores; absent rows and the features of infeasible pairs are never read.

    With ``dueling`` (Wang et al. 2016, "Dueling Network Architectures", eq. 9) the mean advantage over the *feasible*
    actions is taken off, where the advantage is everything but V. It costs scoring every feasible pair in training.

    Takes dense observations, or packed ones as `agents.replay` makes them (key ``pair_at``).

    Parameters
    ----------
    width
        Size of every embedding.
    mixing_layers
        How often context flows back into drivers and bookings; 0 scores from separate encodings and the first context.
    pair_reward_scale
        Turns the observation's ``pair_reward`` (raw reward / bound of the reward version) into the agent's units (raw
        reward / ``reward_scale``): bound / reward_scale.
    use_pair_reward
        False leaves the immediate reward out of Q (ablation); the observation may then come without it.
    """

    observation_space: spaces.Dict
    action_space: spaces.Discrete
    wants_packed = True

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        width: int = 64,
        mixing_layers: int = 1,
        use_pair_reward: bool = True,
        pair_reward_scale: float = 1.0,
        dueling: bool = False,
        pair_mixing: bool = False,
        normalize_images: bool = False,
    ) -> None:
        super().__init__(observation_space, action_space, normalize_images=normalize_images)
        needed = (*NEEDED_KEYS, "pair_reward", "wait_reward") if use_pair_reward else NEEDED_KEYS
        missing = [key for key in needed if key not in observation_space.spaces]
        if missing:
            raise ValueError(
                f"pair network: the observation has no {', '.join(missing)}. Wrap the environment in a reward "
                "(reward.RewardV2, ...) or pass use_pair_reward=False."
            )
        self.width, self.mixing_layers, self.dueling, self.pair_mixing = width, mixing_layers, dueling, pair_mixing
        self.use_pair_reward, self.pair_reward_scale = use_pair_reward, pair_reward_scale
        driver_dim, booking_dim, pair_dim, clock_dim = (
            cast(tuple[int, ...], observation_space[key].shape)[-1] for key in ("drivers", "bookings", "pairs", "clock")
        )
        num_extra = clock_dim + 2  # the clock, bookings per driver, feasible pairs per driver
        self.driver_input, self.driver_encoder = RowAndWhole(driver_dim, clock_dim, width), mlp(width, width)
        self.booking_input, self.booking_encoder = RowAndWhole(booking_dim, clock_dim, width), mlp(width, width)
        self.pool = mlp(3 * width + num_extra, width)
        self.mixing = nn.ModuleList(Mixing(width, num_extra) for _ in range(mixing_layers))
        # The first layer over [driver, booking, pair, context], as a sum so that drivers and bookings go through it
        # once.
        self.score_driver = nn.Linear(width, width, bias=False)
        self.score_booking = nn.Linear(width, width, bias=False)
        self.score_context = nn.Linear(width, width, bias=False)
        self.score_pair = nn.Linear(pair_dim, width)
        if pair_mixing:
            self.rivals = PairMixing(width)
        self.score_hidden = mlp(width, width)
        self.score_head = zero_head(width)
        self.value_hidden, self.value_head = mlp(width, width), zero_head(width)
        self.wait_hidden, self.wait_head = mlp(width, width), zero_head(width)

    # --- encoding -----------------------------------------------------------------------------------------------
    def embed(self, obs: Obs) -> Embedded:
        clock, mask = obs["clock"], obs[MASK_KEY]
        batch = len(clock)
        drivers, driver_of, driver_row = self._present(obs["drivers"])
        bookings, booking_of, booking_row = self._present(obs["bookings"])
        d = self.driver_encoder(self.driver_input(drivers, clock, driver_of))
        b = self.booking_encoder(self.booking_input(bookings, clock, booking_of))

        num_drivers = th.bincount(driver_of, minlength=batch).clamp(min=1).unsqueeze(1).to(clock.dtype)
        num_bookings = th.bincount(booking_of, minlength=batch).unsqueeze(1).to(clock.dtype)
        num_pairs = mask[:, 1:].sum(dim=1, keepdim=True).to(clock.dtype)
        extra = th.cat([clock, th.log1p(num_bookings / num_drivers), th.log1p(num_pairs / num_drivers)], dim=1)

        def pooled(pool: nn.Module) -> th.Tensor:
            zeros = clock.new_zeros(batch, self.width)
            driver_mean = zeros.index_add(0, driver_of, d) / num_drivers
            booking_sum = zeros.index_add(0, booking_of, b)
            booking_mean = booking_sum / num_bookings.clamp(min=1)
            return pool(th.cat([driver_mean, booking_sum / num_drivers, booking_mean, extra], dim=1))

        context = pooled(self.pool)
        for layer in self.mixing:
            mixing = cast(Mixing, layer)
            d = d + mixing.driver_update(d, context, driver_of)
            b = b + mixing.booking_update(b, context, booking_of)
            context = context + pooled(mixing.pool)
        return Embedded(d, driver_row, b, booking_row, context)

    @staticmethod
    def _present(rows: th.Tensor) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Rows whose presence flag is set, the observation each belongs to, and where to find each place's row."""
        batch, places, features = rows.shape
        flat = rows.reshape(batch * places, features)
        at = (flat[:, 0] > 0).nonzero().squeeze(1)
        row = th.full((batch * places,), -1, dtype=th.int64, device=rows.device)
        row[at] = th.arange(len(at), device=rows.device)
        return flat[at], at // places, row

    def feasible_pairs(self, obs: Obs) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Their places (b * N*M + pair), features and immediate rewards."""
        if PAIR_AT in obs:
            return obs[PAIR_AT], obs["pairs"], obs.get("pair_reward")
        at = obs[MASK_KEY][:, 1:].reshape(-1).nonzero().squeeze(1)
        reward = obs["pair_reward"].reshape(-1)[at] if self.use_pair_reward else None
        return at, obs["pairs"].reshape(-1, obs["pairs"].shape[-1])[at], reward

    # --- scoring ------------------------------------------------------------------------------------------------
    def pair_advantages(
        self, obs: Obs, embedded: Embedded, at: th.Tensor, pairs: th.Tensor, reward: th.Tensor | None
    ) -> th.Tensor:
        """Q - V of pairs, given as (b * N*M + pair)."""
        num_drivers, num_bookings = obs["drivers"].shape[1], obs["bookings"].shape[1]
        batch, pair = at // (num_drivers * num_bookings), at % (num_drivers * num_bookings)
        driver = embedded.driver_row[batch * num_drivers + pair // num_bookings]
        booking = embedded.booking_row[batch * num_bookings + pair % num_bookings]
        # index_select refuses -1: a feasible pair of an absent driver or booking is an error of the environment
        hidden = self.score_pair(pairs) + self._gathered(self.score_driver, embedded.drivers, driver)
        hidden = hidden + self._gathered(self.score_booking, embedded.bookings, booking)
        hidden = th.relu(hidden + self._gathered(self.score_context, embedded.context, batch))
        if self.pair_mixing:
            hidden, _ = self.rivals(hidden, driver, len(embedded.drivers), booking, len(embedded.bookings))
        advantage = self.score_head(self.score_hidden(hidden)).squeeze(1)
        if reward is not None and self.use_pair_reward:
            advantage = advantage + self.pair_reward_scale * reward
        return advantage

    @staticmethod
    def _gathered(layer: nn.Linear, rows: th.Tensor, at: th.Tensor) -> th.Tensor:
        """``layer(rows)[at]``, with the layer on whichever side has fewer rows."""
        if len(at) < len(rows):
            return layer(rows.index_select(0, at))
        return layer(rows).index_select(0, at)

    def wait_advantages(self, obs: Obs, embedded: Embedded) -> th.Tensor:
        """Q - V of waiting, shape (B,)."""
        advantage = self.wait_head(self.wait_hidden(embedded.context)).squeeze(1)
        if self.use_pair_reward:
            advantage = advantage + self.pair_reward_scale * obs["wait_reward"].reshape(-1)
        return advantage

    def values(self, embedded: Embedded) -> th.Tensor:
        """V(context), shape (B,)."""
        return self.value_head(self.value_hidden(embedded.context)).squeeze(1)

    def _mean_advantage(self, obs: Obs, at: th.Tensor, pair_adv: th.Tensor, wait_adv: th.Tensor) -> th.Tensor:
        can_wait = obs[MASK_KEY][:, 0].to(wait_adv.dtype)
        total = (wait_adv * can_wait).index_add(0, at // (obs[MASK_KEY].shape[1] - 1), pair_adv)
        return total / obs[MASK_KEY].sum(dim=1).clamp(min=1).to(wait_adv.dtype)

    def feasible_values(self, obs: Obs) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Places of the feasible pairs (b * N*M + pair), their Q-values, and Q of waiting, shape (B,)."""
        embedded = self.embed(obs)
        at, pairs, reward = self.feasible_pairs(obs)
        pair_adv = self.pair_advantages(obs, embedded, at, pairs, reward)
        wait_adv = self.wait_advantages(obs, embedded)
        level = self.values(embedded)
        if self.dueling:
            level = level - self._mean_advantage(obs, at, pair_adv, wait_adv)
        num_pairs = obs[MASK_KEY].shape[1] - 1
        return at, pair_adv + level[at // num_pairs], wait_adv + level

    def forward(self, obs: Obs) -> th.Tensor:
        """Q-values, shape (B, N*M + 1); the most negative float where infeasible."""
        at, q_feasible, q_wait = self.feasible_values(obs)
        batch, num_actions = obs[MASK_KEY].shape
        q_pairs = q_wait.new_full((batch * (num_actions - 1),), INFEASIBLE).index_put((at,), q_feasible)
        q_wait = q_wait.masked_fill(~obs[MASK_KEY][:, 0].bool(), INFEASIBLE)
        return th.cat([q_wait.unsqueeze(1), q_pairs.reshape(batch, num_actions - 1)], dim=1)

    def q_of_actions(self, obs: Obs, actions: th.Tensor) -> th.Tensor:
        """
        Q-values of one feasible action each, shape (B,): what ``forward(obs).gather(1, actions)`` gives, scoring no
        other pair (unless ``dueling`` needs them).
        """
        if self.dueling or self.pair_mixing:
            return self(obs).gather(1, actions.reshape(-1, 1)).squeeze(1)
        actions = actions.reshape(-1)
        embedded = self.embed(obs)
        num_pairs = obs[MASK_KEY].shape[1] - 1
        assigns = (actions > 0).nonzero().squeeze(1)
        at = assigns * num_pairs + actions[assigns] - 1
        if PAIR_AT in obs:
            rows = th.searchsorted(obs[PAIR_AT], at)
            pairs, rewards = obs["pairs"][rows], obs["pair_reward"][rows] if self.use_pair_reward else None
        else:
            pairs = obs["pairs"].reshape(-1, obs["pairs"].shape[-1])[at]
            rewards = obs["pair_reward"].reshape(-1)[at] if self.use_pair_reward else None
        pair_adv = self.pair_advantages(obs, embedded, at, pairs, rewards)
        advantage = self.wait_advantages(obs, embedded).index_put((assigns,), pair_adv)
        return advantage + self.values(embedded)

    def _predict(self, observation: Any, deterministic: bool = True) -> th.Tensor:
        if len(observation[MASK_KEY]) != 1:
            return self(observation).argmax(dim=1)
        # Of one observation the best is found without laying out the values of all N*M pairs.
        at, q_feasible, q_wait = self.feasible_values(observation)
        if not len(at):
            return at.new_zeros(1)
        best = q_feasible.argmax()
        waits = observation[MASK_KEY][:, 0].bool() & (q_wait >= q_feasible[best])
        return th.where(waits, 0, at[best] + 1)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        names = ("width", "mixing_layers", "use_pair_reward", "pair_reward_scale", "dueling", "pair_mixing")
        return {**data, **{name: getattr(self, name) for name in names}}
