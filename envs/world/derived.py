"""Compiled: what follows from the given fields of a day's records, and everything that happens later reset."""

from __future__ import annotations

import math

from envs.world.compiled import jit
from envs.world.records import NEVER, NO_BOOKING, NO_DRIVER, Actor, BookingState
from envs.world.travel import EARTH_RADIUS_KM, departure, great_circle_km

_POLICY = int(Actor.POLICY)
KM_PER_DEG = EARTH_RADIUS_KM * math.pi / 180.0  # of latitude


@jit
def unit_vector(lat, lon, out):
    """Write the point of the unit sphere at (lat, lon) [deg] into ``out``, float64, shape (3,)."""
    lat_rad, lon_rad = math.radians(lat), math.radians(lon)
    out[0] = math.cos(lat_rad) * math.cos(lon_rad)
    out[1] = math.cos(lat_rad) * math.sin(lon_rad)
    out[2] = math.sin(lat_rad)


@jit
def finish_bookings(bookings, num_bookings, detour, center_lat, center_lon):
    """
    Fill in what follows from the given fields of the first ``num_bookings`` rows, and reset what happens later.

    Unit vectors, plane coordinates (equirectangular around the centre), the ride by great circle x detour.
    """
    east_km_per_deg = KM_PER_DEG * math.cos(math.radians(center_lat))
    for k in range(num_bookings):
        booking = bookings[k]
        unit_vector(booking.pickup_lat, booking.pickup_lon, booking.pickup_xyz)
        unit_vector(booking.dropoff_lat, booking.dropoff_lon, booking.dropoff_xyz)
        booking.pickup_east_km = (booking.pickup_lon - center_lon) * east_km_per_deg
        booking.pickup_north_km = (booking.pickup_lat - center_lat) * KM_PER_DEG
        booking.dropoff_east_km = (booking.dropoff_lon - center_lon) * east_km_per_deg
        booking.dropoff_north_km = (booking.dropoff_lat - center_lat) * KM_PER_DEG
        booking.ride_km = great_circle_km(booking.pickup_xyz, booking.dropoff_xyz) * detour
        booking.ride_work = booking.ride_km
        booking.approach_noise = 1.0
        booking.ride_noise = 1.0
        booking.cancel_min = NEVER
        booking.is_no_show = 0
        booking.state = BookingState.UNRELEASED
        booking.driver = NO_DRIVER
        booking.depart_min = 0.0
        booking.approach_km = 0.0
        booking.approach_min = 0.0
        booking.pickup_min = 0.0
        booking.dropoff_min = 0.0
        booking.true_pickup_min = 0.0
        booking.true_dropoff_min = 0.0
        booking.by_spare = 0
        booking.is_promised = 0
        booking.placed_by = _POLICY
        booking.promised_min = NEVER
        booking.shift_min = 0.0
        booking.is_frozen = 0
        booking.last_pickup_min = NEVER
        booking.told_driver = NO_DRIVER
        booking.told_pickup_min = 0.0
        booking.is_touched = 0


@jit
def bound_by_appointments(bookings, num_bookings, speeds):
    """
    A window ends with the last pickup that keeps the appointment, though not before it begins; the rides are known.

    The patient has to be out of the vehicle, so the service at the drop-off counts too.
    """
    for k in range(num_bookings):
        booking = bookings[k]
        booking.keeps_appointment_min = NEVER
        if booking.appointment_min == booking.appointment_min:  # not nan
            left = departure(speeds, booking.appointment_min - booking.dropoff_service_min, booking.ride_work)
            booking.keeps_appointment_min = left - booking.pickup_service_min
            last = max(booking.earliest_pickup_min, booking.keeps_appointment_min)
            booking.latest_pickup_min = min(booking.latest_pickup_min, last)


@jit
def finish_drivers(drivers, num_drivers, center_lat, center_lon):
    """Put the first ``num_drivers`` rows at their start place, idle from the start of their shift."""
    east_km_per_deg = KM_PER_DEG * math.cos(math.radians(center_lat))
    for n in range(num_drivers):
        driver = drivers[n]
        unit_vector(driver.start_lat, driver.start_lon, driver.xyz)
        driver.east_km = (driver.start_lon - center_lon) * east_km_per_deg
        driver.north_km = (driver.start_lat - center_lat) * KM_PER_DEG
        driver.drop_out_min = NEVER
        driver.place = n
        driver.free_min = driver.shift_start_min
        driver.under_way = NO_BOOKING
        driver.has_patient = 0
        driver.plan_len = 0
        driver.num_trips = 0
        driver.is_out = 0
