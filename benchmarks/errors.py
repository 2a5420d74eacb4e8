"""The errors that a person can mend; the command line shows their message alone and ends with exit code 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from zoo.settings import SettingError


class UserError(Exception):
    """Something that the user of the command line can put right."""


class StoreError(UserError):
    """The store cannot be opened, read or written."""


class DatasetError(UserError):
    """A dataset cannot be found, read or used as it is."""


def refuse_missing(what: str, modules: Iterable[str], extra: str) -> None:
    """Refuse what needs modules that are not installed.

    Raises:
        UserError: with the command that installs them.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{what}: {' and '.join(missing)} not installed; `pip install 'ablation-zoo[{extra}]'` installs what it "
            "needs"
        )


def first_line(error: BaseException) -> str:
    """What an error says first, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [""])[0].strip() or type(error).__name__


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Make errors about settings and datasets name the suite file that they come from."""
    try:
        yield
    except SettingError as error:
        raise (error if error.source else error.within(str(path))) from None
    except DatasetError as error:
        raise DatasetError(f"{path}:\n{error}") from error
