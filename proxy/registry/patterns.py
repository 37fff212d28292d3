"""Glob patterns of repositories and tags: `*` within a path component, `**` across."""

import re
from collections.abc import Callable, Sequence

from proxy.oci.reference import Repository, Tag
from proxy.registry.freshness import Freshness


def compiled(pattern: str) -> re.Pattern[str]:
    """Give the expression that a pattern stands for."""
    parts = re.split(r"(\*\*|\*)", pattern)
    wild = {"**": r".*", "*": r"[^/]*"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))


def freshness_by_pattern(
    rules: Sequence[tuple[str, str, Freshness]],
) -> Callable[[Repository, Tag], Freshness]:
    """Give the policy that some (repositories, tags, freshness) rules make: the first match."""
    expressions = [(compiled(names), compiled(tags), kind) for names, tags, kind in rules]

    def policy(repository: Repository, tag: Tag) -> Freshness:
        for names, tags, kind in expressions:
            if names.fullmatch(repository) and tags.fullmatch(tag):
                return kind
        return Freshness.EVENT

    return policy
