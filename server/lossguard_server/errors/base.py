"""The root of the tree."""

from typing import ClassVar


class ServerError(Exception):
    """The server could not do this."""

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    hint: str = ""
    retry: ClassVar[bool] = False

    def __init__(self, detail: str = "", hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if hint is not None:
            self.hint = hint

    @property
    def message(self) -> str:
        """The sentence, and what it was about."""
        sentence = (self.__doc__ or "").strip().splitlines()[0]
        return f"{sentence} {self.detail}".strip()

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
