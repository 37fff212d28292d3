"""Checks of lists: tags in pages, referrers with their filter."""

import re
from typing import Any

from tests.conformance.place import Place, Unsupported
from tests.conformance.pulling import MISSING, Check
from tests.support import images
from tests.support.images import OCI_INDEX, Manifest
from tests.support.pushing import put_manifest
from tests.support.registry_client import Reply

TAGS = ("10", "9", "alpha", "beta", "gamma", "v1")
_NEXT = re.compile(r'<([^>]+)>; *rel="?next"?')


def tags_listed(place: Place) -> None:
    """The list has the repository's name and all tags."""
    _has_tags(place)
    assert _tags(place, "").expect(200).json()["name"] == place.repository
    assert sorted(_all_tags(place, "")) == list(TAGS)


def tags_in_order(place: Place) -> None:
    """The list is in lexical order."""
    _has_tags(place)
    assert _all_tags(place, "") == list(TAGS)


def tags_of_missing_repository(place: Place) -> None:
    """The list of a repository that isn't there is 404."""
    reply = _tags(place, "").expect(404)
    assert reply.error_codes == ["NAME_UNKNOWN"]


def tags_limited(place: Place) -> None:
    """With n there are at most so many."""
    _has_tags(place)
    assert _tags(place, "?n=2").expect(200).json()["tags"] == list(TAGS[:2])


def tags_none(place: Place) -> None:
    """With n=0 there are none."""
    _has_tags(place)
    reply = _tags(place, "?n=0").expect(200)
    assert not reply.json()["tags"]


def tags_after(place: Place) -> None:
    """With last they begin after it, whether or not it exists."""
    _has_tags(place)
    assert _tags(place, "?last=9").expect(200).json()["tags"] == list(TAGS[2:])
    assert _tags(place, "?last=aa").expect(200).json()["tags"] == list(TAGS[2:])


def tags_limited_after(place: Place) -> None:
    """With n and last both hold."""
    _has_tags(place)
    assert _tags(place, "?n=2&last=9").expect(200).json()["tags"] == list(TAGS[2:4])


def tags_by_link(place: Place) -> None:
    """Following Link from page to page gives every tag once."""
    _has_tags(place)
    if _tags(place, "?n=2").expect(200).header("Link") is None:
        raise Unsupported("Link")
    assert _all_tags(place, "?n=2") == list(TAGS)


def referrers_of_nothing(place: Place) -> None:
    """What nothing refers to has an empty list."""
    place.has_image()
    assert _referrers(place, MISSING) == []


def referrers_listed(place: Place) -> None:
    """The list has every referrer with type, size, artifact type and annotations."""
    subject, referrers = _has_referrers(place)
    found = {each["digest"]: each for each in _referrers(place, subject.digest)}
    assert found.keys() == {each.digest for each in referrers}
    for each in referrers:
        described = found[each.digest]
        assert described["mediaType"] == each.media_type
        assert described["size"] == len(each.data)
        assert described.get("annotations") == each.document().get("annotations")
        assert described["artifactType"] == _artifact_type(each)


def referrers_filtered(place: Place) -> None:
    """With artifactType the list says that it is filtered and is, or is whole."""
    subject, referrers = _has_referrers(place)
    wanted = _artifact_type(referrers[0])
    target = f"{place.base}/referrers/{subject.digest}?artifactType={wanted.replace('+', '%2B')}"
    reply = _expect_referrers(place.client.get(target))
    if reply.header("OCI-Filters-Applied") is None:
        raise Unsupported("filtering")
    assert reply.header("OCI-Filters-Applied") == "artifactType"
    found = {each["digest"] for each in reply.json()["manifests"]}
    assert found == {each.digest for each in referrers if _artifact_type(each) == wanted}


def referrers_of_absent_subject(place: Place) -> None:
    """A referrer whose subject isn't there is listed."""
    subject = images.oci_image(f"{place.repository}-absent")
    referrer = place.push(images.oci_artifact(place.repository, subject=subject))
    assert [each["digest"] for each in _referrers(place, subject.digest)] == [referrer.digest]


def referrers_after_delete(place: Place) -> None:
    """A referrer that was deleted is listed no more."""
    subject, (first, *others) = _has_referrers(place)
    assert len(_referrers(place, subject.digest)) == len(others) + 1
    reply = place.client.delete(f"{place.base}/manifests/{first.digest}").expect(202, 404, 405)
    if reply.status != 202:
        raise Unsupported("deleting")
    found = {each["digest"] for each in _referrers(place, subject.digest)}
    assert found == {each.digest for each in others}


def referrers_bad_digest(place: Place) -> None:
    """Referrers of a digest that isn't one are refused."""
    _referrers(place, MISSING)
    place.client.get(f"{place.base}/referrers/sha256:abc").expect(400, 404)


def _has_tags(place: Place) -> None:
    image = place.has_image()
    for tag in reversed(TAGS):
        put_manifest(place.origin, place.repository, image, tag).expect(201)


def _tags(place: Place, query: str) -> Reply:
    return place.client.get(f"{place.base}/tags/list{query}")


def _all_tags(place: Place, query: str) -> list[str]:
    """Give what the list has, all pages of it."""
    reply = _tags(place, query).expect(200)
    found: list[str] = reply.json()["tags"]
    while (following := _following(reply)) is not None:
        reply = place.client.get(following).expect(200)
        found += reply.json()["tags"]
    return found


def _has_referrers(place: Place) -> tuple[Manifest, tuple[Manifest, ...]]:
    subject = place.has_image("v1")
    made = {"org.example.made": place.repository}
    referrers = (
        images.oci_artifact(f"{place.repository}-sbom", subject=subject, annotations=made),
        images.oci_artifact(
            f"{place.repository}-scan", artifact_type="application/vnd.scan", subject=subject
        ),
        images.oci_image(f"{place.repository}-image", subject=subject, annotations=made),
    )
    for referrer in referrers:
        place.push(referrer)
    return subject, referrers


def _referrers(place: Place, digest: str) -> list[dict[str, Any]]:
    """Give what the list has, all pages of it."""
    reply = _expect_referrers(place.client.get(f"{place.base}/referrers/{digest}"))
    found: list[dict[str, Any]] = reply.json()["manifests"]
    while (following := _following(reply)) is not None:
        reply = _expect_referrers(place.client.get(following))
        found += reply.json()["manifests"]
    return found


def _expect_referrers(reply: Reply) -> Reply:
    if reply.status == 404:
        raise Unsupported("referrers")
    assert reply.expect(200).header("Content-Type") == OCI_INDEX
    assert reply.json()["schemaVersion"] == 2
    return reply


def _following(reply: Reply) -> str | None:
    match = _NEXT.search(reply.header("Link") or "")
    return match[1] if match else None


def _artifact_type(manifest: Manifest) -> str:
    document = manifest.document()
    return str(document.get("artifactType") or document["config"]["mediaType"])


CHECKS: tuple[Check, ...] = (
    tags_listed,
    tags_in_order,
    tags_of_missing_repository,
    tags_limited,
    tags_none,
    tags_after,
    tags_limited_after,
    tags_by_link,
    referrers_of_nothing,
    referrers_listed,
    referrers_filtered,
    referrers_of_absent_subject,
    referrers_after_delete,
    referrers_bad_digest,
)
