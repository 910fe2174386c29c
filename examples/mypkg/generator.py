"""
A generator of days: a function from a number to a day. Written as files, they train, evaluate and tune like real ones.

    PYTHONPATH=examples python -m mypkg.generator logs/clinic-days
    python train.py --env DispatchDay-v0 --days-from logs/clinic-days --train-days 0-19 --eval-days 20-29 --reward v3
    python evaluate.py --env DispatchDay-v0 --scenario operating_day --days-from logs/clinic-days --days 30-39
"""

import sys
from pathlib import Path

import numpy as np

from envs import Booking, Day, Driver
from envs.days.files import write_day, write_travel
from envs.days.travel import HourlyTravel

CLINIC = (46.2044, 6.1432)  # [deg]
TRAVEL = HourlyTravel((30.0,) * 24)  # [km/h] all day


def clinic_day(number: int) -> Day:
    """One clinic, 20 patients from around it to be there at each full hour from 8 to 12, and two drivers."""
    random = np.random.default_rng(number)  # the same number, the same day
    bookings = []
    for k, hour in enumerate(np.sort(random.integers(8, 13, size=20))):
        lat, lon = random.normal(CLINIC, 0.02).tolist()  # [deg] about 2 km
        latest = 60.0 * hour - 15.0
        bookings.append(Booking(f"b{k}", latest - 120.0, latest - 30.0, latest, lat, lon, CLINIC[0], CLINIC[1]))
    drivers = [Driver(f"d{n}", CLINIC[0], CLINIC[1], shift_start_min=360.0, shift_end_min=840.0) for n in range(2)]
    return Day(f"{number:03d}", tuple(bookings), tuple(drivers), TRAVEL, open_min=360.0, close_min=840.0)


def main(folder: Path, num_days: int = 40) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_travel(TRAVEL, folder / "travel.yml")
    for day in map(clinic_day, range(num_days)):
        write_day(day, folder / f"day-{day.label}-bookings.csv", folder / f"day-{day.label}-fleet.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
