"""Listeners end without a trace, whatever their connections are doing."""

import gc
import socket
import warnings

import pytest

from tests.support.listener import listening
from tests.support.ports import answers
from tests.support.raw_http import Ending, raw_connection
from tests.support.waiting import wait_until


async def wait_for_bytes(reader, writer):
    await reader.read(1)


async def fail(reader, writer):
    raise LookupError("a bug in a handler")


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "tls"])
def test_connections_are_closed_however_far_they_are(authority, with_tls):
    tls = authority.server_context("127.0.0.1") if with_tls else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            clients = [socket.socket() for _ in range(10)]
            with listening(wait_for_bytes, tls=tls) as listener:
                for client in clients:  # accepted, half accepted, in a handshake
                    client.connect((listener.host, listener.port))
            assert not answers(listener.host, listener.port)
            for client in clients:
                client.close()
        gc.collect()


def test_a_bug_in_a_handler_fails_the_test():
    with (
        pytest.raises(LookupError, match="a bug"),
        listening(fail) as listener,
        raw_connection(listener.address) as connection,
    ):
        assert connection.wait_for_end() is Ending.CLOSED


def test_open_connections_can_be_reset_while_new_ones_are_welcome():
    with listening(wait_for_bytes) as listener:
        with raw_connection(listener.address) as old:
            wait_until(lambda: listener.open_connections)
            listener.reset_connections()
            assert old.wait_for_end() is Ending.RESET
        assert answers(listener.host, listener.port)
