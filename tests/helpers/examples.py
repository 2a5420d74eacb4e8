"""How many examples a costly property is tried on: few in `make test`, more in `make test-night`."""

from hypothesis import settings


def examples(by_day, by_night, **options):
    """Give the settings of a property; the name of the loaded profile says which time it is."""
    is_night = settings.get_current_profile_name() == "night"
    return settings(deadline=None, max_examples=by_night if is_night else by_day, **options)
