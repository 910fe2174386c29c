import gymnasium as gym
import envs  # registers Dispatch-v0, DispatchDay-v0 and -v1, DispatchPromise-v0
from agents.maskable_dqn import MaskableDQN
from reward import RewardV2

env = RewardV2(gym.make("Dispatch-v0"))
model = MaskableDQN("PairPolicy", env).learn(2_000)  # enough to see it run; train.py trains for real
observation, info = env.reset(options={"day": 2_000_000})
action, _ = model.predict(observation, deterministic=True)
observation, reward, terminated, truncated, info = env.step(action)
print(info["reward_terms"])
