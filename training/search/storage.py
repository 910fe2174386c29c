"""
Where a study lives, so that several processes or machines can work on it and none of them is missed when it dies.

A journal file (one machine, the default) or a PostgreSQL server (many machines). Both answer the same three questions:
may I change the study's list of trials now (`SharedStorage.exclusive`), does the worker of a running trial still live
(`SharedStorage.fail_lost`), and is the storage there at all (a restart of the server is waited out).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import threading
import time
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, _CachedStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock, get_lock_file
from optuna.trial import TrialState

from checked import SettingsError, without_password

JOURNAL_SUFFIX = ".log"  # rl-zoo3's
HEARTBEAT_S = 10  # [s] between two signs of life of a trial on a server
GRACE_S = 60  # [s] without one, after which its worker counts as dead
PATIENCE_S = 600.0  # [s] that a server may be away before a worker gives up
WORKER = "worker"  # user attribute of a trial


class LockLost(Exception):
    """The storage went away while its list of trials was being changed; look again and start over."""


class SharedStorage(ABC):
    """
    Optuna's storage, a lock over it, and a sign of life for every running trial.

    Attributes
    ----------
    storage
        What Optuna works with.
    """

    storage: BaseStorage

    @abstractmethod
    def exclusive(self, study_name: str) -> contextlib.AbstractContextManager[None]:
        """
        Nobody else changes this study's list of trials inside.

        Raises
        ------
        LockLost
            At the end, when the lock broke meanwhile.
        """

    @abstractmethod
    def sign_of_life(self, trial: optuna.Trial) -> contextlib.AbstractContextManager[None]:
        """Inside, the trial counts as running; entered under the lock, before anybody else can see the trial."""

    @abstractmethod
    def fail_lost(self, study: optuna.Study) -> None:
        """Mark the running trials whose workers are gone as failed. Called under the lock."""

    @abstractmethod
    def close(self) -> None:
        """This worker takes no more trials."""


def open_storage(url: str) -> SharedStorage:
    """
    The storage behind ``--storage``: a path that ends in .log, or ``postgresql+psycopg2://user:password@host/base``.

    Raises
    ------
    SettingsError
        For anything else, and when the server's driver is missing.
    """
    if "://" not in url:
        if not url.endswith(JOURNAL_SUFFIX):
            raise SettingsError(
                f"--storage {url}: expected a journal file that ends in {JOURNAL_SUFFIX}, or "
                "postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE."
            )
        try:
            return JournalFile(Path(url))
        except OSError as error:
            raise SettingsError(f"--storage {url}: {error.strerror}. Name a file in a folder of yours.") from error
    if not url.startswith("postgresql"):
        raise SettingsError(
            f"--storage {url.split('://')[0]}://...: expected postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE for "
            f"several machines, or a journal file that ends in {JOURNAL_SUFFIX} for one. SQLite loses trials when "
            "several processes write."
        )
    import sqlalchemy

    shown = without_password(url)
    try:
        return PostgresServer(url)
    except ImportError as error:
        raise SettingsError(
            "--storage postgresql...: its driver is not installed. pip install -r requirements-postgresql.txt"
        ) from error
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise SettingsError(
            f"--storage {shown}: expected postgresql+psycopg2://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from error
    except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        raise SettingsError(
            f"--storage {shown}: {_reason(error)}. Check user, password, host and database; the database must exist "
            "(createdb)."
        ) from error


class JournalFile(SharedStorage):
    """
    A file that processes of one machine append to.

    A worker holds a lock on a file of its own for as long as it lives; the system lets go of it when the process dies,
    however it dies. So a trial is lost exactly when the lock of its worker can be had.
    """

    def __init__(self, path: Path) -> None:
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.storage = JournalStorage(_Journal(path))
        self._claim_path = path.with_suffix(".claim")
        self._workers = path.with_suffix(".workers")
        self._worker: str | None = None
        self._own_lock: int | None = None

    @contextlib.contextmanager
    def exclusive(self, study_name: str) -> Iterator[None]:
        descriptor = os.open(self._claim_path, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def sign_of_life(self, trial: optuna.Trial) -> Iterator[None]:
        if self._worker is None:
            self._workers.mkdir(exist_ok=True)
            self._worker = uuid.uuid4().hex
            self._own_lock = os.open(self._workers / self._worker, os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._own_lock, fcntl.LOCK_EX)
        trial.set_user_attr(WORKER, self._worker)
        yield

    def fail_lost(self, study: optuna.Study) -> None:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if not self._is_alive(trial.user_attrs.get(WORKER)):
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _is_alive(self, worker: str | None) -> bool:
        if worker is None:  # died between taking the trial and signing it
            return False
        try:
            descriptor = os.open(self._workers / worker, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def close(self) -> None:
        if self._own_lock is not None:
            os.close(self._own_lock)
            (self._workers / str(self._worker)).unlink(missing_ok=True)
            self._worker = self._own_lock = None


class _Journal(JournalFileBackend):
    """
    Optuna's journal, for writers that may die at any moment.

    A line that its writer didn't finish was never a record: the next one to write cuts it off (Optuna goes on behind
    it, and nobody can read the file any more). The lock is the system's, which lets go of it when its holder dies
    (Optuna's is a link, and with a relative path one that points nowhere and never counts as old).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_SystemLock(path.with_suffix(".append")))
        with get_lock_file(self._lock):
            self._cut_unfinished_line()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock):
            self._cut_unfinished_line()
            with open(self._file_path, "ab") as file:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as error:
            raise SettingsError(
                f"--storage {self._file_path}: line {self._damaged_line()} is no record of Optuna, so the study can't "
                "be read. Keep a copy of the file, delete that line, and start the same command again."
            ) from error

    def _cut_unfinished_line(self) -> None:
        with open(self._file_path, "r+b") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end and not self._ends_line(file, end):
                end -= 1
            if end < size:
                file.truncate(end)
                os.fsync(file.fileno())
                print(f"{self._file_path}: {size - end} bytes of a line whose writer died were cut off.", flush=True)

    @staticmethod
    def _ends_line(file: IO[bytes], end: int) -> bool:
        file.seek(end - 1)
        return file.read(1) == b"\n"

    def _damaged_line(self) -> int:
        with open(self._file_path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    json.loads(line)
                except ValueError:
                    return number
        return 0


class _SystemLock(BaseJournalFileLock):
    """A lock on a file that the system frees when the process that holds it ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class PostgresServer(SharedStorage):
    """
    A PostgreSQL database that many machines reach.

    A running trial's heartbeat is Optuna's, beaten by a thread of ours that outlives a restart of the server (Optuna's
    own thread dies of it, and the trial would be given away). The lock is an advisory lock of a session: the server
    drops it when the worker's connection ends.
    """

    def __init__(self, url: str) -> None:
        import sqlalchemy

        self._lock_engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
        database = None
        while database is None:
            # Workers that start together on an empty database would all create its tables, and all but one would fail.
            with contextlib.suppress(LockLost), self._locked("schema", is_known=False):
                database = patiently(lambda: _database(url), is_known=False)
        self._engine = database.engine
        self.storage = self._database = _PatientStorage(database)

    def exclusive(self, study_name: str) -> contextlib.AbstractContextManager[None]:
        return self._locked(study_name)

    @contextlib.contextmanager
    def _locked(self, name: str, is_known: bool = True) -> Iterator[None]:
        import sqlalchemy

        key = int.from_bytes(hashlib.sha256(f"dispatch search: {name}".encode()).digest()[:8], signed=True)
        statement = sqlalchemy.text(f"SELECT pg_advisory_lock({key})")

        def connect() -> Any:
            connection = self._lock_engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(statement)
            return connection

        connection = patiently(connect, is_known)
        try:
            yield
            try:
                connection.execute(sqlalchemy.text("SELECT 1"))
            except sqlalchemy.exc.DBAPIError as error:
                raise LockLost from error
        finally:
            with contextlib.suppress(sqlalchemy.exc.DBAPIError):
                connection.close()

    @contextlib.contextmanager
    def sign_of_life(self, trial: optuna.Trial) -> Iterator[None]:
        self._database.record_heartbeat(trial._trial_id)
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(HEARTBEAT_S):
                self._database.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def fail_lost(self, study: optuna.Study) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)

    def close(self) -> None:
        self._database.remove_session()
        self._engine.dispose()


def _database(url: str) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S, engine_kwargs={"pool_pre_ping": True}
        )


def patiently(action: Callable[[], Any], is_known: bool = True) -> Any:
    """
    What ``action`` returns; while the server is away, it is tried again for `PATIENCE_S`.

    Only what can heal is waited for: a wrong password or database isn't. ``is_known``: the server has answered before,
    so that a name that can't be looked up will be found again.
    """
    from sqlalchemy.exc import DBAPIError

    begun, is_told = time.monotonic(), False
    while True:
        try:
            return action()
        except (DBAPIError, optuna.exceptions.StorageInternalError) as error:
            if not _can_heal(error, is_known) or time.monotonic() - begun > PATIENCE_S:
                raise
        if not is_told:
            print("The storage is away; waiting for it.", flush=True)
            is_told = True
        time.sleep(1.0)


# What PostgreSQL and its driver say of settings that are wrong; all else that breaks a connection may pass.
_WRONG = re.compile(
    r'(database|role) ".*" does not exist|authentication failed|no pg_hba\.conf entry|no password supplied'
    r"|permission denied|not permitted to log in|invalid (port|integer|connection option|dsn|URI)",
    re.IGNORECASE,
)
_UNKNOWN_HOST = re.compile("could not translate host name", re.IGNORECASE)


def _can_heal(error: BaseException, is_known: bool) -> bool:
    """Whether the connection is gone in a way that waiting may mend."""
    text = _reason(error)
    return _is_disconnect(error) and not _WRONG.search(text) and (is_known or not _UNKNOWN_HOST.search(text))


def _reason(error: BaseException) -> str:
    """The first line of what the database's driver said."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return without_password(str(getattr(cause, "orig", cause)).strip().partition("\n")[0])


def _is_disconnect(error: BaseException) -> bool:
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

    cause: BaseException | None = error
    while cause is not None:
        # PendingRollbackError: Optuna asks once more in the session whose connection was just cut.
        if isinstance(cause, OperationalError | InterfaceError | PendingRollbackError):
            return True
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return True
        cause = cause.__cause__
    return False


class _PatientStorage(_CachedStorage):
    """
    Optuna's storage on a database, waiting while the server is away.

    Repeating an action whose answer was lost is safe: values are set again to the same, and a trial that was created
    twice carries no slot, so it is never counted (see `training.search.slots`).
    """


def _made_patient(name: str) -> Callable[..., Any]:
    plain = getattr(_CachedStorage, name)

    @functools.wraps(plain)
    def method(self: _PatientStorage, *args: Any, **named: Any) -> Any:
        return patiently(lambda: plain(self, *args, **named))

    return method


for _name in (*BaseStorage.__abstractmethods__, "record_heartbeat", "_get_stale_trial_ids"):
    setattr(_PatientStorage, _name, _made_patient(_name))
