"""How a verb runs what is asynchronous."""

from collections.abc import Callable, Coroutine
from typing import Any

Runner = Callable[[Coroutine[Any, Any, int]], int]
