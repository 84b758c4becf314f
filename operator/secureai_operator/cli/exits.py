"""Exit codes and the one error that ends a verb early; scripts may rely on both."""

from __future__ import annotations

OK = 0
"""Done, and the answer is yes: Ready, nothing to change, every check passed."""
NO = 1
"""Done, and the answer is no: not Ready, a difference, a check that failed."""
USAGE = 2
"""The command line or a file given with it is wrong."""
UNANSWERED = 3
"""No answer: the cluster or Vault does not answer, refuses, or does not know the object."""
INTERRUPTED = 130
"""Ctrl-C."""

EPILOG = (
    "exit codes: 0 yes or done, 1 no (not Ready, differences, a failed check), 2 wrong usage or input, "
    "3 no answer (not found, unreachable, forbidden), 130 interrupted"
)


class CliError(Exception):
    """Ends the verb with one line on stderr; the message is for the person who typed the command."""

    def __init__(self, message: str, code: int = UNANSWERED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
