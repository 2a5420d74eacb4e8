"""How many examples a costly property is tried on: few in `make test`, more in `make test-night`."""

import pytest
from hypothesis import settings


def examples(by_day, by_night, **options):
    """Give the settings of a property; the name of the loaded profile says which time it is."""
    is_night = settings.get_current_profile_name() == "night"
    return settings(deadline=None, max_examples=by_night if is_night else by_day, **options)


def each_once(rows):
    """Choose from pairs of a family and a change: each change once, the next with the next family that has it."""
    families = {}
    for family, change in rows:
        families.setdefault(repr(change), []).append((family, change))
    return [having[number % len(having)] for number, having in enumerate(families.values())]


def spanning(rows):
    """Give all pairs of a family and a change as parameters: by day each change once, by night every pair."""
    by_day = each_once(rows)
    return [pytest.param(*row, marks=() if row in by_day else pytest.mark.night) for row in rows]
