"""Several processes fill one study: on a journal file, and on a PostgreSQL server that the test starts itself."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from checked import SettingsError
from training.search.slots import RETRY_OF, SLOT, Slots
from training.search.storage import open_storage, patiently
from training.settings import REPO_ROOT

TOTAL = 6
HUNG_SLOT = 1  # of the trial whose worker is killed
TIMEOUT_S = 600  # for a busy machine; a worker needs some seconds


class Worker:
    """A process that fills the toy study; what it prints goes into a file."""

    def __init__(self, url: str, log: Path, *options: str) -> None:
        command = [sys.executable, "-m", "tests.training.search.toy_worker", url, "--total", str(TOTAL), *options]
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(command, cwd=REPO_ROOT, stdout=output, stderr=output)

    def says(self, word: str) -> bool:
        return word in self.log.read_text()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        assert self.process.wait(TIMEOUT_S) == -signal.SIGKILL

    def finish(self) -> None:
        assert self.process.wait(TIMEOUT_S) == 0, self.log.read_text()


@pytest.fixture
def start(tmp_path):
    """Starts workers, and lets none of them outlive the test."""
    workers: list[Worker] = []

    def start_worker(url: str, *options: str) -> Worker:
        workers.append(Worker(url, tmp_path / f"worker-{len(workers)}", *options))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def trials_of(url: str) -> list[optuna.trial.FrozenTrial]:
    shared = open_storage(url)
    trials = optuna.load_study(study_name="toy", storage=shared.storage).get_trials()
    shared.close()
    return trials


def check_full(trials: list[optuna.trial.FrozenTrial]) -> None:
    """None lost, none counted twice: one completed trial for each slot."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert sorted(trial.user_attrs[SLOT] for trial in completed) == list(range(TOTAL))
    assert Slots(trials).is_full(TOTAL)


def check_retry(trials: list[optuna.trial.FrozenTrial]) -> None:
    (retry,) = [trial for trial in trials if RETRY_OF in trial.user_attrs and trial.user_attrs.get(SLOT) == HUNG_SLOT]
    killed = trials[retry.user_attrs[RETRY_OF]]
    assert killed.state == TrialState.FAIL and retry.state == TrialState.COMPLETE
    assert retry.params == killed.params


# --- journal ----------------------------------------------------------------------------------------------------------


def test_two_processes_on_a_journal_and_one_is_killed(start, tmp_path):
    url = str(tmp_path / "study.log")
    first, second = (start(url, "--hang-at", "1") for _ in range(2))
    # one of them takes slot 1 and hangs; the other fills the rest and waits
    wait_until(lambda: first.says("hanging") or second.says("hanging"))
    hanging, other = (first, second) if first.says("hanging") else (second, first)
    hanging.kill()
    other.finish()
    trials = trials_of(url)
    check_full(trials)
    check_retry(trials)


def test_a_living_worker_keeps_its_trial(tmp_path):
    from tests.training.search.toy_worker import supply_of

    url = str(tmp_path / "study.log")
    living, looking = open_storage(url), open_storage(url)
    with supply_of(living, "toy", TOTAL).next_trial() as trial:
        with supply_of(looking, "toy", TOTAL).next_trial() as other:
            assert (trial.user_attrs[SLOT], other.user_attrs[SLOT]) == (0, 1)
        living.close()  # as the end of its process
        with supply_of(looking, "toy", TOTAL).next_trial() as other:
            assert other.user_attrs[SLOT] == 0
    looking.close()


def two_values(path: Path) -> optuna.Study:
    study = optuna.create_study(storage=open_storage(str(path)).storage, study_name="s", direction="maximize")
    for value in (1.0, 2.0):
        study.tell(study.ask(), value)
    return study


def test_half_written_line_of_a_dead_writer_is_cut_off(tmp_path, capsys):
    path = tmp_path / "study.log"
    two_values(path)
    for value in (3.0, 4.0):  # twice: each start finds a half line
        with path.open("a") as file:
            file.write('{"op_code": 9, "worker_id": "x", "trial_')
        study = optuna.load_study(storage=open_storage(str(path)).storage, study_name="s")
        study.tell(study.ask(), value)
    assert [trial.value for trial in study.trials] == [1.0, 2.0, 3.0, 4.0]
    assert capsys.readouterr().out.count("40 bytes of a line whose writer died were cut off") == 2


def test_worker_goes_on_behind_the_half_line_of_another(tmp_path):
    path = tmp_path / "study.log"
    study = two_values(path)
    with path.open("a") as file:
        file.write('{"op_code": 9')
    study.tell(study.ask(), 3.0)
    again = optuna.load_study(storage=open_storage(str(path)).storage, study_name="s")
    assert [trial.value for trial in again.trials] == [1.0, 2.0, 3.0]


def test_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "study.log"
    two_values(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], '{"op_code": 9{"op_code": 4}\n', *lines[2:]]))
    with pytest.raises(SettingsError, match="line 3 is no record"):
        optuna.load_study(storage=open_storage(str(path)).storage, study_name="s")


def test_lock_that_a_killed_worker_left_holds_nobody_up(tmp_path, monkeypatch):
    # Optuna's own lock is a link to the journal's path; seen from the folder of a relative one it points nowhere
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    os.symlink("deep/study.log", "deep/study.log.lock")
    assert not os.path.exists("deep/study.log.lock")
    begun = time.monotonic()
    assert len(two_values(Path("deep/study.log")).trials) == 2
    assert time.monotonic() - begun < 10.0


def test_relative_path_is_meant_from_where_the_search_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = two_values(Path("study.log"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    study.tell(study.ask(), 3.0)
    assert [trial.value for trial in study.trials] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/proc/nowhere/study.log", "Name a file in a folder of yours"),
        ("postgresql+psycopg2://me:secret@host:port/base", r"--storage postgresql\+psycopg2://me:\*\*\*@host"),
        ("postgresql+nobody://me:secret@host/base", r"me:\*\*\*@host"),
        ("study.db", r"expected a journal file that ends in \.log"),
        ("sqlite:///study.db", "SQLite loses trials"),
        ("mysql://user:secret@host/base", r"--storage mysql://\.\.\.: expected postgresql"),
    ],
)
def test_other_storages_are_refused(url, message):
    with pytest.raises(SettingsError, match=message):
        open_storage(url)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def server_programs() -> Path | None:
    """The folder of initdb and pg_ctl: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class Server:
    """A PostgreSQL server with a data folder of its own; it refuses to run as root, so then it runs as nobody."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql+psycopg2://dispatch@127.0.0.1:{self.port}/postgres"
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        self.run("initdb", "-U", "dispatch", "--auth=trust", "-E", "UTF8")
        options = f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.control("start", "-o", options)

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        user = "nobody" if os.geteuid() == 0 else None
        # the server would keep a pipe open, so its output goes to a file
        with (self.folder / "output").open("a") as output:
            done = subprocess.run(
                command, user=user, extra_groups=[] if user else None, cwd="/", stdout=output, stderr=output
            )
        assert done.returncode == 0, (self.folder / "output").read_text()

    def control(self, action: str, *arguments: str) -> None:
        self.run("pg_ctl", "-w", "-l", str(self.folder / "data" / "server.log"), *arguments, action)

    def restart_at_once(self) -> None:
        """As after a crash: every connection is cut, whatever goes on in it."""
        self.control("restart", "-m", "immediate")


@pytest.fixture
def server(tmp_path_factory):
    pytest.importorskip("psycopg2", reason="no driver: pip install -r requirements-postgresql.txt")
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    # not under tmp_path: its parents are closed to other users, and a server never runs as root
    with tempfile.TemporaryDirectory(prefix="dispatch-postgresql-") as folder:
        started = Server(programs, Path(folder))
        yield started
        started.control("stop", "-m", "immediate")


@pytest.mark.parametrize("cut", ["OperationalError", "InterfaceError", "PendingRollbackError"])
def test_an_action_is_repeated_when_its_connection_was_cut(cut, monkeypatch):
    import sqlalchemy.exc

    monkeypatch.setattr("training.search.storage.time.sleep", lambda seconds: None)
    kind = getattr(sqlalchemy.exc, cut)
    calls = []

    def action() -> str:
        calls.append(1)
        if len(calls) < 3:
            reason = kind("cut") if cut == "PendingRollbackError" else kind("SELECT 1", {}, Exception("cut"))
            raise optuna.exceptions.StorageInternalError("commit") from reason
        return "answer"

    assert patiently(action) == "answer" and len(calls) == 3


@pytest.mark.parametrize(
    ("told", "is_waited_for"),
    [
        ('FATAL:  database "dispach" does not exist', False),
        ('FATAL:  password authentication failed for user "me"', False),
        ('could not translate host name "nowhere" to address: Name or service not known', False),
        ("FATAL:  the database system is starting up", True),
        ("connection refused. Is the server running on that host and accepting TCP/IP connections?", True),
    ],
)
def test_only_what_can_heal_is_waited_for(told, is_waited_for, monkeypatch):
    import sqlalchemy.exc

    waits = []
    monkeypatch.setattr("training.search.storage.time.sleep", waits.append)
    monkeypatch.setattr("training.search.storage.PATIENCE_S", 0.05)

    def action() -> None:
        raise sqlalchemy.exc.OperationalError("", {}, Exception(told))

    with pytest.raises(sqlalchemy.exc.OperationalError):
        patiently(action, is_known=False)
    assert bool(waits) == is_waited_for


def test_wrong_database_is_told_at_once(server):
    begun = time.monotonic()
    with pytest.raises(SettingsError, match='database "dispach" does not exist') as told:
        open_storage(server.url.replace("dispatch@", "dispatch:secret@").replace("/postgres", "/dispach"))
    assert time.monotonic() - begun < 30.0 and "secret" not in str(told.value)


def test_an_error_of_the_action_itself_is_not_repeated():
    def action() -> None:
        raise optuna.exceptions.StorageInternalError("too long") from ValueError("too long")

    with pytest.raises(optuna.exceptions.StorageInternalError):
        patiently(action)


def test_two_processes_on_postgresql_survive_a_restart_and_a_kill(server, start):
    # both begin on an empty database: only one may create its tables
    first, second = (start(server.url, "--hang-at", "1") for _ in range(2))
    wait_until(lambda: first.says("hanging") or second.says("hanging"))
    hanging, other = (first, second) if first.says("hanging") else (second, first)
    server.restart_at_once()
    # the one that hangs still counts as running
    wait_until(lambda: other.says(f"{TOTAL - 1} of {TOTAL} done") or other.process.poll() is not None)
    assert other.process.poll() is None, other.log.read_text()
    # It is not given away, though the server was gone for a while. (A trial that another worker was just claiming may
    # have been thrown away with its lock, and taken again.)
    assert not [
        trial
        for trial in trials_of(server.url)
        if RETRY_OF in trial.user_attrs and trial.user_attrs.get(SLOT) == HUNG_SLOT
    ]
    hanging.kill()
    other.finish()
    trials = trials_of(server.url)
    check_full(trials)
    check_retry(trials)
