"""Pushes and deletes: what a correct registry answers and keeps."""

import base64
import json
import re
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

from tests.support.hostile.answers import Answer, Pairs, problem
from tests.support.hostile.contents import Contents, Repository, StoredManifest, Upload, matches
from tests.support.hostile.settings import Settings
from tests.support.http1 import Request
from tests.support.layers import digest_of

_CONTENT_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Writing:
    """Answers writes to *contents*."""

    contents: Contents
    settings: Settings

    def put_manifest(self, request: Request, name: str, reference: str, body: bytes) -> Answer:
        repository = self.contents.repository(name)
        is_digest = ":" in reference
        if is_digest and not matches(body, reference):
            return problem(400, "DIGEST_INVALID")
        digest = reference if is_digest else digest_of(body)
        manifest = StoredManifest(digest, request.fields.get("Content-Type"), body)
        if not manifest.document():
            return problem(400, "MANIFEST_INVALID")
        if self.settings.checks_blobs and not _is_complete(repository, manifest):
            return problem(404, "MANIFEST_BLOB_UNKNOWN")
        repository.put(manifest, None if is_digest else reference)
        return Answer(201, self._accepted(name, manifest))

    def delete_manifest(self, name: str, reference: str) -> Answer:
        repository = self.contents.repository(name)
        if not self.settings.allows_deletes:
            return problem(405, "UNSUPPORTED")
        if reference in repository.tags:
            del repository.tags[reference]
        elif reference in repository.manifests:
            repository.forget(reference)
        else:
            return problem(404, "MANIFEST_UNKNOWN")
        return Answer(202)

    def delete_blob(self, name: str, digest: str) -> Answer:
        if not self.settings.allows_deletes:
            return problem(405, "UNSUPPORTED")
        if self.contents.repository(name).blobs.pop(digest, None) is None:
            return problem(404, "BLOB_UNKNOWN")
        return Answer(202)

    def start_upload(self, request: Request, name: str, body: bytes) -> Answer:
        query = parse_qs(request.query)
        repository = self.contents.repository(name)
        if "mount" in query and self._mount(repository, query):
            return self._created(name, query["mount"][0])
        if "digest" in query:
            return self._commit(name, Upload(bytearray(body)), query["digest"][0])
        session = str(uuid.uuid4())
        repository.uploads[session] = Upload()
        return self._session(request, 202, name, session)

    def continue_upload(self, request: Request, name: str, session: str, body: bytes) -> Answer:
        upload = self._find(request, name, session)
        if upload is None:
            return problem(404, "BLOB_UPLOAD_UNKNOWN")
        if not _follows(upload, request.fields.get("Content-Range"), body):
            return self._session(request, 416, name, session)
        upload.data += body
        upload.step += 1
        return self._session(request, 202, name, session)

    def end_upload(self, request: Request, name: str, session: str, body: bytes) -> Answer:
        upload = self._find(request, name, session)
        if upload is None:
            return problem(404, "BLOB_UPLOAD_UNKNOWN")
        digests = parse_qs(request.query).get("digest")
        if not digests:
            return problem(400, "DIGEST_INVALID")
        if not _follows(upload, request.fields.get("Content-Range"), body):
            return self._session(request, 416, name, session)
        upload.data += body
        del self.contents.repository(name).uploads[session]
        return self._commit(name, upload, digests[0])

    def show_upload(self, request: Request, name: str, session: str) -> Answer:
        if self._find(request, name, session) is None:
            return problem(404, "BLOB_UPLOAD_UNKNOWN")
        return self._session(request, 204, name, session)

    def cancel_upload(self, request: Request, name: str, session: str) -> Answer:
        if self._find(request, name, session) is None:
            return problem(404, "BLOB_UPLOAD_UNKNOWN")
        del self.contents.repository(name).uploads[session]
        return Answer(204)

    def _mount(self, target: Repository, query: dict[str, list[str]]) -> bool:
        digest = query["mount"][0]
        source = self.contents.repositories.get(query.get("from", [""])[0])
        if source is None or digest not in source.blobs:
            return False
        target.blobs[digest] = source.blobs[digest]
        return True

    def _find(self, request: Request, name: str, session: str) -> Upload | None:
        upload = self.contents.repository(name).uploads.get(session)
        if upload is None or not self.settings.requires_upload_state:
            return upload
        state = f"_state={_state(session, upload)}"
        return upload if state in request.query.split("&") else None

    def _commit(self, name: str, upload: Upload, digest: str) -> Answer:
        data = bytes(upload.data)
        if not matches(data, digest):
            return problem(400, "DIGEST_INVALID")
        self.contents.repository(name).blobs[digest] = data
        return self._created(name, digest)

    def _created(self, name: str, digest: str) -> Answer:
        location = f"/v2/{name}/blobs/{digest}"
        return Answer(201, (("Location", location), ("Docker-Content-Digest", digest)))

    def _accepted(self, name: str, manifest: StoredManifest) -> Pairs:
        location = f"/v2/{name}/manifests/{manifest.digest}"
        fields: Pairs = (("Location", location), ("Docker-Content-Digest", manifest.digest))
        subject = manifest.document().get("subject")
        if subject and self.settings.has_referrers:
            fields = (*fields, ("OCI-Subject", subject["digest"]))
        return fields

    def _session(self, request: Request, status: int, name: str, session: str) -> Answer:
        upload = self.contents.repository(name).uploads[session]
        target = f"/v2/{name}/blobs/uploads/{session}?_state={_state(session, upload)}"
        fields: Pairs = (
            ("Location", self.settings.upload_location(target, request)),
            ("Range", f"0-{max(0, len(upload.data) - 1)}"),
            ("Docker-Upload-UUID", session),
        )
        if self.settings.chunk_min_length is not None:
            fields = (*fields, ("OCI-Chunk-Min-Length", str(self.settings.chunk_min_length)))
        return Answer(status, fields)


def _state(session: str, upload: Upload) -> str:
    """Give a state that changes on the way if anybody decodes and encodes it again."""
    text = json.dumps({"id": session, "at": len(upload.data), "step": upload.step})
    return quote(base64.b64encode(text.encode() + b"~ ~").decode(), "")


def _follows(upload: Upload, content_range: str, body: bytes) -> bool:
    """Tell whether a chunk continues the upload; one without Content-Range does."""
    if not content_range:
        return True
    match = _CONTENT_RANGE.fullmatch(content_range)
    if match is None:
        return False
    start, last = int(match[1]), int(match[2])
    return start == len(upload.data) and last - start + 1 == len(body)


def _is_complete(repository: Repository, manifest: StoredManifest) -> bool:
    document = manifest.document()
    named = [*document.get("layers", []), *([document["config"]] if "config" in document else [])]
    return all(each["digest"] in repository.blobs for each in named)
