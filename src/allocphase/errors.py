"""The errors that end a command. Each is one clear line and carries its exit code.

`cli.main` catches them once; nothing else turns an exception into an exit code.
"""

from __future__ import annotations

__all__ = ["AllocphaseError", "UsageError"]


class AllocphaseError(Exception):
    """The tool could not do its work: exit code 1."""

    exit_code = 1


class UsageError(AllocphaseError):
    """A name, file or key that the user gave is wrong: exit code 2.

    The message names the file and the key, and says what would be accepted.
    """

    exit_code = 2
