"""The driver of replica processes starts, reads, restarts and ends them; here with a stand-in."""

import signal
import sys
import textwrap
import tomllib

import pytest

from tests.support.processes import ProgramFailed
from tests.support.replica import replica

STAND_IN = textwrap.dedent(
    """
    import http.server, json, pathlib, signal, sys, threading, tomllib

    settings = tomllib.loads(pathlib.Path(sys.argv[-1]).read_text())
    if settings["region"] == "nowhere":
        sys.exit("no such region")
    host, _, port = settings["listen"]["ops"].partition(":")

    class Ops(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'pulls_total{kind="blob"} 2\\npulls_total{kind="tag"} 3\\n'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((host, int(port)), Ops)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(json.dumps({"event": "other"}))
    print("not JSON")
    ready = {"event": "replica.ready", "registry": settings["listen"]["registry"]}
    print(json.dumps(ready | {"ops": settings["listen"]["ops"]}), flush=True)
    server.serve_forever()
    print(json.dumps({"event": "replica.stopped"}), flush=True)
    """
)


@pytest.fixture
def stand_in(tmp_path):
    path = tmp_path / "stand_in.py"
    path.write_text(STAND_IN)
    return sys.executable, str(path)


def test_settings_reach_the_replica_as_toml(stand_in):
    policies = [{"repositories": "ci/**", "freshness": "always"}]
    tags = {"ttl": "2s", "policies": policies}
    with replica("http://primary.test", prefix=stand_in, tags=tags, listen={"names": ["a"]}) as one:
        written = tomllib.loads((one.folder / "replica.toml").read_text())
    assert written["primary"] == {"url": "http://primary.test"}
    assert written["tags"] == tags
    assert written["listen"]["names"] == ["a"]
    assert written["listen"]["registry"] == [one.address]
    assert written["store"]["root"] == str(one.store)


def test_events_and_metrics_are_read(stand_in):
    with replica("http://primary.test", prefix=stand_in) as one:
        assert [event["event"] for event in one.events()] == ["other", "replica.ready"]
        assert one.wait_event("replica.ready", ops=one.ops)
        assert one.metrics().value("pulls_total", kind="blob") == 2
        assert one.metrics().value("pulls_total") == 5
        assert one.metrics().value("nothing") == 0


def test_a_replica_starts_again_on_the_same_addresses(stand_in):
    with replica("http://primary.test", prefix=stand_in) as one:
        before = one.address, one.ops
        one.restart(region="elsewhere")
        assert (one.address, one.ops) == before
        assert one.get_ops("/metrics").status == 200
        assert len(one.events("replica.stopped")) == 1
        assert one.stop() == 0
        one.start()
        one.kill()
        assert one.process.wait() == -signal.SIGKILL


def test_a_replica_that_does_not_start_is_shown_with_its_log(stand_in):
    with (
        pytest.raises(ProgramFailed, match="no such region"),
        replica("http://primary.test", prefix=stand_in, region="nowhere"),
    ):
        pass


def test_nothing_is_left_behind(stand_in):
    with replica("http://primary.test", prefix=stand_in) as one:
        folder = one.folder
    assert not folder.exists()
    assert not one.process.is_running
