"""Notifications of every kind."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from proxy.events.event import (
    BlobPushed,
    ManifestDeleted,
    ManifestPushed,
    RepositoryDeleted,
    TagDeleted,
)
from proxy.events.notification import Notification, Sender, Source
from proxy.oci.descriptor import Descriptor
from tests.oci.strategies import digests, repositories, tags

_printable = st.characters(categories=("L", "N", "P", "S"))
texts = st.text(_printable, max_size=12) | st.just("é" * 255)
sizes = st.integers(0, 2**63 - 1)
descriptors = st.builds(Descriptor, texts.filter(bool), digests, sizes)
maybe_sizes = st.none() | sizes

events = st.one_of(
    st.builds(
        ManifestPushed,
        repositories,
        st.none() | tags,
        st.none() | digests,
        texts,
        maybe_sizes,
        st.lists(descriptors, max_size=3).map(tuple),
    ).filter(lambda event: event.tag or event.digest),
    st.builds(BlobPushed, repositories, digests, texts, maybe_sizes, st.none() | repositories),
    st.builds(ManifestDeleted, repositories, digests, st.none() | tags),
    st.builds(TagDeleted, repositories, tags, st.none() | digests),
    st.builds(RepositoryDeleted, repositories),
)
times = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001  (the zone is given beside)
    timezones=st.just(UTC),
)
sources = st.builds(Source, st.sampled_from(Sender), times, texts.filter(bool), texts, texts, texts)
notifications = st.builds(Notification, sources, events)
