"""What a run is asked to do, resolved and checked: `training.resolve` makes it, ``resolved.yml`` keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from checked import SettingsError

REPO_ROOT = Path(__file__).resolve().parent.parent
# Of a resumed run, these may be given anew; everything else is as it was.
RESUMABLE = (
    "n_timesteps",
    "progress",
    "verbose",
    "device",
    "num_threads",
    "checkpoint_freq",
    "save_freq",
    "log_interval",
)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """
    Everything that decides what a run does. Order of precedence: defaults < YAML < command line.

    The defaults here are the command line's, too; what they mean is told by ``train.py --help``.

    Attributes
    ----------
    hyperparams
        The block of the hyperparameter file with everything put in: the command line's changes, the reward's wrapper,
        tuned numbers.
    env_kwargs
        Of every environment of the run.
    eval_env_kwargs
        Put over them for evaluations.
    log_folder
        Where ``<algo>/<env>_<n>`` is made; below ``log_root``, the folder that was asked for.
    resume
        The folder of the run that goes on; None: a new one.
    """

    # the problem and the algorithm
    algo: str
    env: str
    n_timesteps: int
    hyperparams: Mapping[str, Any]
    reward: str | None = None  # as asked for; None: whatever the block wraps the environment with
    block: str = "default"
    config_file: str = ""
    seed: int = 0
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    eval_env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    days_from: Sequence[str] | None = None
    columns: str | None = None
    train_days: str = "0-44"
    eval_days: str = "45-59"
    gym_packages: Sequence[str] = ()
    # how
    vec_env: str = "dummy"
    num_threads: int = 1
    device: str = "auto"
    trained_agent: str = ""
    resume: str | None = None
    # what is kept and shown
    log_folder: str = "logs"
    log_root: str = "logs"
    tensorboard_log: str = ""
    is_tensorboard_on: bool = True
    eval_freq: int = 0
    eval_episodes: int = 20
    n_eval_envs: int = 1
    checkpoint_freq: int = 0
    save_freq: int = -1
    save_replay_buffer: bool = False  # of a finished run; a checkpoint on the way always has it
    log_interval: int = -1
    progress: bool = False
    verbose: int = 1
    uuid: bool = False
    track: bool = False
    wandb_project_name: str = "dispatch-trainer"
    wandb_entity: str | None = None
    wandb_group: str | None = None
    wandb_tags: Sequence[str] = ()

    @property
    def env_name(self) -> str:
        """The environment's id as a folder's name; rl-zoo3's way."""
        return self.env.rpartition(":")[2].replace("/", "-")

    @property
    def is_batched(self) -> bool:
        """Whether training runs on the native batch."""
        return self.vec_env == "batched"

    @property
    def all_eval_env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of an evaluation environment, its days apart."""
        shared = {key: value for key, value in self.env_kwargs.items() if key != "days"}
        return {**shared, **self.eval_env_kwargs}

    def to_resolved(self) -> dict[str, Any]:
        """The content of ``resolved.yml``; ``from_resolved`` gives equal settings."""
        top = {name: getattr(self, name) for name in _TOP}
        args = {name: getattr(self, name) for name in (*_OPTIONS, "eval_env_kwargs")}
        return {**top, "eval_env_kwargs": self.all_eval_env_kwargs, "hyperparams": dict(self.hyperparams), "args": args}

    @classmethod
    def from_resolved(cls, content: Mapping[str, Any], **changes: Any) -> RunSettings:
        """The settings of a run from its ``resolved.yml``, of this version or an older one, with some replaced."""
        args = content["args"]
        values = {name: content[name] for name in (*_TOP, "hyperparams")}
        values |= {name: args[name] for name in _OPTIONS if name in args}
        values["eval_env_kwargs"] = args.get("eval_env_kwargs") or {}
        return cls(**{**values, **changes})

    def to_args(self) -> dict[str, Any]:
        """The content of rl-zoo3's ``args.yml``, from which its ``enjoy`` takes the environment's settings."""
        named = {"algo": self.algo, "env": self.env, "seed": self.seed, "n_timesteps": self.n_timesteps}
        named |= {"reward": self.reward, "conf_file": self.config_file, "env_kwargs": dict(self.env_kwargs) or None}
        named["eval_env_kwargs"] = dict(self.eval_env_kwargs) or None
        return dict(sorted({**{name: getattr(self, name) for name in _OPTIONS}, **named}.items()))


_TOP = ("reward", "algo", "env", "block", "config_file", "seed", "n_timesteps", "env_kwargs")
_OPTIONS = tuple(
    each.name for each in fields(RunSettings) if each.name not in (*_TOP, "eval_env_kwargs", "hyperparams", "resume")
)


def check_resumable(resume: str, given: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """
    Refuse options beside ``--resume`` that would make it another run.

    Parameters
    ----------
    given
        Options that stand on the command line.
    saved
        ``args`` of the run's ``resolved.yml``.

    Raises
    ------
    SettingsError
        Naming the option and those that may change.
    """
    changed = [name for name in given if name not in (*RESUMABLE, "resume") and given[name] != saved.get(name)]
    if changed:
        option = "--" + changed[0].replace("_", "-")
        allowed = ", ".join("--" + name.replace("_", "-") for name in RESUMABLE)
        raise SettingsError(
            f"--resume {resume}: {option} would make it another run. Leave it out, or start anew. "
            f"May change: {allowed}."
        )
