"""Faults that a client meets while it sends are seen there, and count that they were."""

import pytest

from tests.support.hostile import UPLOADS, RefuseEarly, Status, Unread
from tests.support.raw_http import Ending, raw_connection, request_bytes


@pytest.mark.parametrize("after_bytes", [0, 1000])
def test_an_upload_is_refused_early(upstream, after_bytes):
    fault = upstream.inject(RefuseEarly(Status(403), after_bytes), path=UPLOADS)
    fields = (("Content-Length", "100000000"),)
    data = request_bytes("POST", "/v2/app/blobs/uploads/", upstream.address, *fields)
    with raw_connection(upstream.address) as connection:
        connection.send(data + bytes(after_bytes))
        assert connection.read_reply("POST").status == 403
        assert connection.wait_for_end() is Ending.CLOSED
    assert fault.fired == 1
    assert after_bytes <= upstream.seen[0].body_bytes <= after_bytes


def test_an_upload_that_is_not_read_holds_its_sender_up(upstream):
    fault = upstream.inject(Unread(), path=UPLOADS)
    size = 64 << 20
    fields = (("Content-Length", str(size)),)
    with raw_connection(upstream.address, timeout_seconds=0.3) as connection:
        connection.send(request_bytes("POST", "/v2/app/blobs/uploads/", upstream.address, *fields))
        fault.wait_fired()
        with pytest.raises(TimeoutError):
            connection.send(bytes(size))
    assert upstream.seen[0].body_bytes == 0
