"""What can go wrong with the lab; every text says what the caller can do about it."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not do what was asked."""


class LabUnavailable(LabError):
    """No lab can be had on this machine; the text says what to install or set."""


class LabUnsupported(LabError):
    """This kind of lab (a user's own cluster, say) cannot do what was asked."""


class LabTimeout(LabError):
    """A condition did not become true before its deadline."""


class CommandFailed(LabError):
    """A command line tool ended with an error."""

    def __init__(self, command: str, code: int, output: str) -> None:
        super().__init__(f"{command} ended with {code}: {output.strip()}")
        self.code = code
        self.output = output


class RequestFailed(LabError):
    """An API server or Vault refused a request; `status` is the HTTP status."""

    def __init__(self, request: str, status: int, answer: str) -> None:
        super().__init__(f"{request} was answered with {status}: {answer[:600]}")
        self.status = status
