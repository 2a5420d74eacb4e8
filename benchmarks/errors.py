"""The errors that a person can mend; the command line shows their message alone and ends with exit code 2."""


class UserError(Exception):
    """Something that the user of the command line can put right."""


class StoreError(UserError):
    """The store cannot be opened, read or written."""


class DatasetError(UserError):
    """A dataset cannot be found, read or used as it is."""
