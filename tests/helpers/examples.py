"""How many examples a costly property is tried on: few in `make test`, more in `make test-night`."""

import pytest
from hypothesis import settings


def examples(by_day, by_night, **options):
    """Give the settings of a property; the name of the loaded profile says which time it is."""
    is_night = settings.get_current_profile_name() == "night"
    return settings(deadline=None, max_examples=by_night if is_night else by_day, **options)


def each_once(rows):
    """Choose from pairs of a network and a change: each change once, the next with the next network that has it."""
    by_change = {}
    for network, change in rows:
        by_change.setdefault(repr(change), []).append((network, change))
    return [having[number % len(having)] for number, having in enumerate(by_change.values())]


def spanning(rows):
    """Give all pairs of a network and a change as parameters: by day each change once, by night every pair."""
    by_day = each_once(rows)
    return [pytest.param(*row, marks=() if row in by_day else pytest.mark.night) for row in rows]
