"""Values of the vocabulary, with the words of the paths in places where they don't belong."""

from hypothesis import strategies as st

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.reference import Repository, Tag

PATH_WORDS = ("manifests", "blobs", "uploads", "upload", "tags", "list", "referrers", "v2")

_components = st.sampled_from(PATH_WORDS) | st.from_regex(
    r"[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True
)

repositories = (
    st.lists(_components, min_size=1, max_size=6)
    .map("/".join)
    .filter(lambda name: len(name) <= 255)
    .map(Repository.parse)
)

tags = (
    st.sampled_from(PATH_WORDS)
    | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
).map(Tag.parse)

digests = st.builds(Digest.of, st.binary(max_size=8), st.sampled_from(Algorithm))

references = tags | digests
