"""
Train an agent to dispatch: ``python train.py --reward v2``.

Flags, run folders and YAML keys are rl-zoo3's. A run goes to ``<log-folder>/<reward>/<algo>/<env>_<n>/``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from checked import SettingsError, without_password
from training.options import read_options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 when the run was finished, 2 for a setting that can't be used, 130 when it was stopped."""
    options, given = read_options(argv)
    if argv is None:  # what --track sends along
        sys.argv[:] = [without_password(word) for word in sys.argv]
    try:
        return run(options, given)
    except SettingsError as error:
        if options["verbose"] > 1:
            raise
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if options["verbose"] > 1:
            raise
        print(f"train.py: {error.filename or 'a file'}: {error.strerror or error}.", file=sys.stderr)
        return 2


def run(options: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    """Train, or search; the last line says where the result is."""
    # imported here: --help must not wait for PyTorch
    from training.manager import RunManager
    from training.registration import register
    from training.resolve import resolve, resumed
    from training.run_folder import read_resolved
    from training.search.options import SearchOptions

    resume = options["resume"]
    register(options["gym_packages"] or (read_resolved(resume)["args"].get("gym_packages", ()) if resume else ()))
    if options["optimize_hyperparameters"] or options["study_report"]:
        from training.search.command import run_search

        return run_search(resolve(options, given), SearchOptions.of(options))
    if resume:
        settings = resumed(resume, given)
    elif options["trial_id"] is not None:
        from training.search.command import trial_change

        settings = resolve(options, given, trial_change(options))
    else:
        settings = resolve(options, given)
    manager = RunManager(settings)
    model = manager.set_up()
    manager.learn()
    if manager.is_stopped:
        print(f"Stopped at step {model.num_timesteps}. {manager.advice_after_stop()}")
        return 130
    print(f"Trained {model.num_timesteps} steps. Result: {manager.save()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
