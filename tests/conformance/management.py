"""Checks of deletes, and of who is let in."""

from tests.conformance.place import Place, Unsupported
from tests.conformance.pulling import MISSING, Check
from tests.support import images
from tests.support.accounts import Credentials
from tests.support.pushing import assert_pullable, pull, put_manifest
from tests.support.registry_client import Reply


def delete_tag(place: Place) -> None:
    """DELETE of a tag takes the tag and leaves the manifest."""
    image = place.push(images.oci_image(place.repository), "v1")
    put_manifest(place.client, place.repository, image, "v2").expect(201)
    assert pull(place.client, place.repository, "v1").status == 200
    _delete(place, "manifests/v1")
    pull(place.client, place.repository, "v1").expect(404)
    pull(place.client, place.repository, "v2").expect(200)
    pull(place.client, place.repository, image.digest).expect(200)
    assert place.client.get(f"{place.base}/tags/list").json()["tags"] == ["v2"]


def delete_manifest(place: Place) -> None:
    """DELETE of a manifest takes it and its tags."""
    image = place.push(images.oci_image(place.repository), "v1")
    other = place.push(images.oci_image(f"{place.repository}-other"), "v2")
    for reference in ("v1", image.digest):
        pull(place.client, place.repository, reference).expect(200)
    _delete(place, f"manifests/{image.digest}")
    for reference in ("v1", image.digest):
        pull(place.client, place.repository, reference).expect(404)
        place.client.head(f"{place.base}/manifests/{reference}").expect(404)
    assert_pullable(place.client, place.repository, other, "v2")
    assert "v1" not in place.client.get(f"{place.base}/tags/list").expect(200).json()["tags"]


def delete_blob(place: Place) -> None:
    """DELETE of a blob takes it."""
    content = place.has_blob()
    place.blob(content.digest).expect(200)
    _delete(place, f"blobs/{content.digest}")
    place.blob(content.digest).expect(404)
    place.client.head(f"{place.base}/blobs/{content.digest}").expect(404)


def delete_blob_here_only(place: Place) -> None:
    """DELETE of a blob leaves it in another repository."""
    content = place.has_blob()
    place.neighbour.push_blob(content)
    _delete(place, f"blobs/{content.digest}")
    assert place.neighbour.blob(content.digest).expect(200).body == content.data


def delete_missing(place: Place) -> None:
    """DELETE of what isn't there is 404."""
    place.has_image("v1")
    for path in (f"manifests/{MISSING}", f"blobs/{MISSING}"):
        reply = place.client.delete(f"{place.base}/{path}").expect(404, 405)
        if reply.status == 405:
            raise Unsupported("deleting")


def push_after_delete(place: Place) -> None:
    """What was deleted can be pushed again."""
    image = place.push(images.oci_image(place.repository), "v1")
    _delete(place, f"manifests/{image.digest}")
    pull(place.client, place.repository, "v1").expect(404)
    place.push(image, "v1")
    assert_pullable(place.client, place.repository, image, "v1")


def challenged(place: Place) -> None:
    """Without credentials the answer is 401 and names what is wanted."""
    _needs_credentials(place)
    for target in ("/v2/", f"{place.base}/manifests/v1", f"{place.base}/tags/list"):
        # The header keeps the client from logging in by itself.
        reply = place.as_caller(None).get(target, {"Authorization": ""}).expect(401)
        challenge = str(reply.header("WWW-Authenticate"))
        assert challenge.partition(" ")[0].lower() in ("basic", "bearer")
        assert 'realm="' in challenge


def wrong_password_refused(place: Place) -> None:
    """With a wrong password nothing is read or written."""
    credentials = _needs_credentials(place)
    image = place.has_image("v1")
    stranger = place.as_caller(Credentials(credentials.username, "wrong"))
    pull(stranger, place.repository, "v1").expect(401)
    stranger.get(f"{place.base}/blobs/{image.blobs[0].digest}").expect(401)
    stranger.request("POST", f"{place.base}/blobs/uploads/").expect(401)
    stranger.delete(f"{place.base}/manifests/{image.digest}").expect(401)
    assert_pullable(place.client, place.repository, image, "v1")


def anonymous_refused_after_pull(place: Place) -> None:
    """What was pulled with a login isn't there without one."""
    _needs_credentials(place)
    image = place.has_image("v1")
    assert_pullable(place.client, place.repository, image, "v1")
    pull(place.as_caller(None), place.repository, "v1").expect(401, 403)
    target = f"{place.base}/blobs/{image.blobs[0].digest}"
    place.as_caller(None).get(target).expect(401, 403)


def _delete(place: Place, path: str) -> Reply:
    reply = place.client.delete(f"{place.base}/{path}").expect(202, 400, 405)
    if reply.status != 202:
        raise Unsupported("deleting")
    return reply


def _needs_credentials(place: Place) -> Credentials:
    if place.credentials is None:
        raise Unsupported("logins")
    return place.credentials


CHECKS: tuple[Check, ...] = (
    delete_tag,
    delete_manifest,
    delete_blob,
    delete_blob_here_only,
    delete_missing,
    push_after_delete,
    challenged,
    wrong_password_refused,
    anonymous_refused_after_pull,
)
