"""Which tests stay together when several processes run them.

The mark `xdist_group` has no effect with pytest 9.2 (pytest-xdist issue 1386), so it is by folder:
a module whose tests share a world that takes seconds to make goes to one process as a whole.
"""

from xdist.scheduler import LoadScopeScheduling

WORLDS = ("tests/regions/",)


class ByWorld(LoadScopeScheduling):
    """Hands out single tests, and the modules of `WORLDS` as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(WORLDS) else nodeid
