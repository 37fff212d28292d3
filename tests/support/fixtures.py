"""What fixtures are made of: things that end with the test, programs it can't do without."""

import os
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import pytest

from tests.support.processes import is_installed

T = TypeVar("T")


class Opened(Protocol):
    """Enters a context manager whose end comes with the test's, and gives what it gives."""

    def __call__(self, manager: AbstractContextManager[T], /) -> T: ...


def require(program: str) -> None:
    """Skip the test where *program* is missing, except on CI, which has all of them."""
    if is_installed(program):
        return
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not installed")
    pytest.skip(f"{program} is not installed")
