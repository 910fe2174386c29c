"""One day at one moment, to look at: as text (``render_mode="human"``, ``"ansi"``) and as a map (``"rgb_array"``)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from envs.days.day import Day
from envs.world.records import NO_BOOKING, BookingState, World


def clock_text(minutes: float) -> str:
    """``485.0`` -> ``08:05``."""
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}"


def render_text(world: World, b: int, day: Day) -> str:
    """Clock, fleet with plans, open bookings with the feasible drivers, and how the bookings stand."""
    clock = world.clocks[b]
    bookings = world.bookings[b]
    lines = [
        f"day {day.label}  {clock_text(clock['now_min'])}  "
        + ", ".join(
            f"{int(np.sum(bookings['state'][: clock['num_bookings']] == state))} {state.name.lower().replace('_', ' ')}"
            for state in BookingState
        )
    ]
    for n, driver in enumerate(day.drivers):
        record = world.drivers[b, n]
        trips = [
            f"{day.bookings[k].id}@{clock_text(bookings['pickup_min'][k])}"
            for k in world.plans[b, n, : record["plan_len"]]
        ]
        under_way = record["under_way"]
        if record["is_out"]:
            doing = "dropped out"
        elif under_way == NO_BOOKING:
            doing = "idle"
        else:
            verb = "carries" if record["has_patient"] else "drives to"
            doing = f"{verb} {day.bookings[under_way].id}, free {clock_text(record['free_min'])}"
        lines.append(f"  {driver.id:<6} {doing:<28} plan: {' '.join(trips) or '-'}")
    for slot, k in enumerate(world.slots[b]):
        if k == NO_BOOKING:
            break
        booking = day.bookings[k]
        feasible = np.flatnonzero(world.pairs["is_feasible"][b, : clock["num_drivers"], slot])
        drivers = " ".join(f"{day.drivers[n].id}@{clock_text(world.pairs['pickup_min'][b, n, slot])}" for n in feasible)
        lines.append(
            f"  {booking.id:<6} priority {booking.priority}, pickup {clock_text(booking.earliest_pickup_min)}-"
            f"{clock_text(booking.latest_pickup_min)}  by: {drivers or 'nobody'}"
        )
    backlog = int(clock["num_open"]) - int(np.sum(world.slots[b] != NO_BOOKING))
    if backlog > 0:
        lines.append(f"  and {backlog} more bookings in the backlog")
    return "\n".join(lines)


KM_PER_DEGREE = 111.2  # [km] of latitude
MARGIN = 0.05  # of the map's height and width, around the outermost place
# Bookings that still matter; what has ended is counted in the title.
COLOUR_OF_STATE = {
    BookingState.OPEN: "tab:red",
    BookingState.PLANNED: "tab:orange",
    BookingState.UNDER_WAY: "tab:green",
}


def render_map(world: World, b: int, day: Day, height: int = 480) -> npt.NDArray[np.uint8]:
    """
    A map: drivers as squares where they are free next, their plans as lines, bookings as dots at the pickup.

    A dot is the larger the higher the booking's priority; the line of a trip under way is thick from its pickup to its
    drop-off. All of a day's frames have the same scale, that of all its places.

    Returns
    -------
    uint8, shape (height, height * 4 / 3, 3)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clock = world.clocks[b]
    bookings, drivers = world.bookings[b, : clock["num_bookings"]], world.drivers[b, : clock["num_drivers"]]
    figure = Figure(figsize=(height * 4 / 300, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.93))
    axes.set_axis_off()
    lats = np.concatenate([bookings["pickup_lat"], bookings["dropoff_lat"], drivers["start_lat"]])
    lons = np.concatenate([bookings["pickup_lon"], bookings["dropoff_lon"], drivers["start_lon"]])
    axes.set_aspect(1.0 / math.cos(math.radians(float(lats.mean()))))
    axes.set(xlim=_with_margin(lons), ylim=_with_margin(lats))
    for n, driver in enumerate(drivers):
        lat, lon = np.degrees([math.asin(driver["xyz"][2]), math.atan2(driver["xyz"][1], driver["xyz"][0])])
        colour = f"C{n % 10}"
        stops = [(lon, lat)]
        for k in world.plans[b, n, : driver["plan_len"]]:
            trip = bookings[k]
            stops += [(trip["pickup_lon"], trip["pickup_lat"]), (trip["dropoff_lon"], trip["dropoff_lat"])]
        axes.plot(*zip(*stops, strict=True), "-", color=colour, linewidth=1.0, alpha=0.6)
        if driver["under_way"] != NO_BOOKING:
            trip = bookings[driver["under_way"]]
            ends = [[trip["pickup_lon"], trip["dropoff_lon"]], [trip["pickup_lat"], trip["dropoff_lat"]]]
            axes.plot(*ends, "-", color=colour, linewidth=3.0, alpha=0.6)
        axes.plot(lon, lat, "x" if driver["is_out"] else "s", color=colour, markersize=9)
        axes.annotate(day.drivers[n].id, (lon, lat), (5, 5), textcoords="offset points", fontsize=8, color=colour)
    for state, colour in COLOUR_OF_STATE.items():
        shown = bookings[bookings["state"] == state]
        size = 10.0 * shown["priority"]
        axes.scatter(shown["pickup_lon"], shown["pickup_lat"], size, colour, label=state.name.lower().replace("_", " "))
    axes.legend(loc="lower left", fontsize=8)
    ended = ", ".join(
        f"{int(np.sum(bookings['state'] == state))} {state.name.lower().replace('_', ' ')}"
        for state in BookingState
        if BookingState.SERVED <= state <= BookingState.NO_SHOW
        or (state > BookingState.NO_SHOW and np.any(bookings["state"] == state))
    )
    figure.suptitle(f"day {day.label}  {clock_text(clock['now_min'])}  {ended}", fontsize=10, y=0.99)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _with_margin(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    margin = max(MARGIN * float(np.ptp(values)), 1.0 / KM_PER_DEGREE)
    return float(values.min()) - margin, float(values.max()) + margin
