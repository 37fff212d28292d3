"""The plan: which events make which jobs, and what is in scope."""

from dataclasses import replace

import pytest

from proxy.events.event import (
    BlobPushed,
    Event,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.oci.digest import Digest
from proxy.oci.platform import Platform
from proxy.oci.reference import Repository, Tag
from proxy.replication.plan import Scope, jobs_of
from proxy.replication.work import Kind

IN, OUT = Repository("shop/api"), Repository("lab/try")
TAG, DIGEST = Tag("v1"), Digest.of(b"a manifest")
SCOPE = Scope(lambda repository: repository == IN, lambda tag: tag == TAG)
ONE_PLATFORM = Scope(lambda _: True, lambda _: True, (Platform("linux", "amd64"),))


@pytest.mark.parametrize(
    ("event", "jobs"),
    [
        (ManifestPushed(IN, TAG, DIGEST), [(Kind.TAG, TAG, False)]),
        (ManifestPushed(IN, TAG), [(Kind.TAG, TAG, False)]),
        (ManifestPushed(OUT, TAG, DIGEST), [(Kind.TAG, TAG, False)]),
        (ManifestPushed(IN, None, DIGEST), [(Kind.MANIFEST, DIGEST, False)]),
        (ManifestPushed(OUT, None, DIGEST), []),
        (BlobPushed(IN, DIGEST), [(Kind.BLOB, DIGEST, False)]),
        (BlobPushed(OUT, DIGEST), []),
        (TagDeleted(IN, TAG), [(Kind.TAG, TAG, True)]),
        (ManifestDeleted(IN, DIGEST), [(Kind.MANIFEST, DIGEST, True)]),
        (
            ManifestDeleted(OUT, DIGEST, TAG),
            [(Kind.MANIFEST, DIGEST, True), (Kind.TAG, TAG, True)],
        ),
        (RepositoryDeleted(OUT), [(Kind.REPOSITORY, None, True)]),
    ],
)
def test_an_event_makes_jobs(event: Event, jobs: list[object]) -> None:
    """Tags and deletions are looked at wherever they are, contents are brought in scope alone."""
    made = jobs_of(event, 7.0, scope=SCOPE)
    assert [(job.target.kind, job.target.reference, job.is_deletion) for job in made] == jobs
    assert {job.event_at for job in made} <= {7.0}


@pytest.mark.parametrize(
    "event",
    [
        ManifestPushed(IN, TAG, DIGEST),
        ManifestPushed(IN, None, DIGEST),
        BlobPushed(IN, DIGEST),
        TagDeleted(IN, TAG),
        ManifestDeleted(IN, DIGEST, TAG),
        RepositoryDeleted(IN),
    ],
)
def test_what_is_excluded_makes_no_jobs(event: Event) -> None:
    """Of a repository that is excluded nothing is looked at, whatever is said of it."""
    assert jobs_of(event, 7.0, scope=replace(SCOPE, own_excluded=frozenset({IN}))) == []


def test_with_platforms_no_layer_comes_before_its_image() -> None:
    """Whether a blob is of a wanted platform, only its manifest tells."""
    assert jobs_of(BlobPushed(IN, DIGEST), 7.0, scope=ONE_PLATFORM) == []


@pytest.mark.parametrize(
    ("repository", "tag", "is_wanted"),
    [
        (IN, "v1", True),
        (IN, "v2", False),
        (OUT, "v1", False),
        (IN, f"sha256-{DIGEST.hex}", True),
        (IN, f"sha256-{DIGEST.hex}.sig", True),
        (IN, "sha256-short.sig", False),
        (OUT, f"sha256-{DIGEST.hex}.sig", False),
    ],
)
def test_what_is_wanted(repository: Repository, tag: str, is_wanted: bool) -> None:
    """A pattern of tags leaves out no signature of what it lets in."""
    assert SCOPE.wants(repository, Tag(tag)) is is_wanted
