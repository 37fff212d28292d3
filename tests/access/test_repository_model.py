"""C4: two users, two repositories, every verb in any order, restarts included, beside a model."""

from contextlib import ExitStack

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.access.in_process import in_process
from tests.access.worlds import call
from tests.support.accounts import ANY_ACTION, PULL, Accounts, Grant
from tests.support.hostile import (
    BasicLogin,
    Contents,
    Settings,
    StoredManifest,
    hostile_upstream,
)
from tests.support.images import OCI_MANIFEST, oci_artifact
from tests.support.layers import digest_of
from tests.support.store_tree import linked_blobs, linked_manifests
from tests.support.token_calls import basic_value

REPOSITORIES = ("alice/app", "bob/app")
BLOBS = {digest_of(data): data for data in (b"first" * 100, b"second" * 20_000)}
ARTIFACT = oci_artifact("model")
THINGS = {**BLOBS, ARTIFACT.digest: ARTIFACT.data}
# bob may do everything in his repository, and read alice's
RIGHTS = {
    ("alice", "alice/app"): ANY_ACTION,
    ("bob", "bob/app"): ANY_ACTION,
    ("bob", "alice/app"): PULL,
}

users = st.sampled_from(("alice", "bob"))
repositories = st.sampled_from(REPOSITORIES)
things = st.sampled_from(tuple(THINGS))


class Model(RuleBasedStateMachine):
    """`present` is what the primary has; whatever is written goes through the replica."""

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.rights = dict(RIGHTS)
        self.present = set()

    @initialize(first=st.sets(st.tuples(repositories, things)))
    def begin(self, first):
        self.accounts = Accounts()
        self.set_rights()
        self.contents = Contents()
        settings_ = Settings(login=BasicLogin(self.accounts), checks_blobs=False)
        self.upstream = self.stack.enter_context(
            hostile_upstream(contents=self.contents, settings=settings_)
        )
        for repository, digest in first:
            self.put_at_primary(repository, digest)
        self.present = set(first)
        self.one = self.stack.enter_context(in_process(self.upstream.url))

    def set_rights(self):
        for user in ("alice", "bob"):
            grants = (Grant(name, may) for (who, name), may in self.rights.items() if who == user)
            self.accounts.add(user, "secret", *grants)

    def put_at_primary(self, repository, digest):
        held = self.contents.repository(repository)
        if digest in BLOBS:
            held.blobs[digest] = BLOBS[digest]
        else:
            held.put(StoredManifest(digest, OCI_MANIFEST, ARTIFACT.data))

    def send(self, user, method, target, headers=None, body=b""):
        login = basic_value(self.accounts.credentials_of(user))
        return call(self.one, method, target, {"Authorization": login, **(headers or {})}, body)

    def may(self, user, repository, action):
        return action in self.rights.get((user, repository), ())

    def target(self, repository, digest):
        return f"/v2/{repository}/{'blobs' if digest in BLOBS else 'manifests'}/{digest}"

    def expected(self, user, repository, digest, action, good):
        if not self.may(user, repository, action):
            return 403
        return good if (repository, digest) in self.present else 404

    @rule(user=users, repository=repositories, digest=things)
    def pull(self, user, repository, digest):
        reply = self.send(user, "GET", self.target(repository, digest))
        assert reply.status == self.expected(user, repository, digest, "pull", 200)
        assert (reply.body == THINGS[digest]) == (reply.status == 200)

    @rule(user=users, repository=repositories, digest=things)
    def head(self, user, repository, digest):
        reply = self.send(user, "HEAD", self.target(repository, digest))
        assert reply.status == self.expected(user, repository, digest, "pull", 200)
        assert (reply.header("Docker-Content-Digest") == digest) == (reply.status == 200)

    @rule(user=users, repository=repositories, digest=st.sampled_from(tuple(BLOBS)))
    def pull_part(self, user, repository, digest):
        reply = self.send(user, "GET", self.target(repository, digest), {"Range": "bytes=100-199"})
        assert reply.status == self.expected(user, repository, digest, "pull", 206)
        assert (reply.body == THINGS[digest][100:200]) == (reply.status == 206)

    @rule(user=users, repository=repositories, digest=things)
    def push(self, user, repository, digest):
        if digest in BLOBS:
            target = f"/v2/{repository}/blobs/uploads/?digest={digest}"
            reply = self.send(user, "POST", target, {}, BLOBS[digest])
        else:
            headers = {"Content-Type": OCI_MANIFEST}
            target = self.target(repository, digest)
            reply = self.send(user, "PUT", target, headers, ARTIFACT.data)
        may = self.may(user, repository, "push")
        assert reply.status == (201 if may else 403)
        if may:
            self.present.add((repository, digest))

    @rule(user=users, repository=repositories, digest=things)
    def delete(self, user, repository, digest):
        reply = self.send(user, "DELETE", self.target(repository, digest))
        assert reply.status == self.expected(user, repository, digest, "delete", 202)
        if reply.status == 202:
            self.present.remove((repository, digest))

    @rule(digest=st.sampled_from(tuple(BLOBS)))
    def mount(self, digest):
        target = f"/v2/bob/app/blobs/uploads/?mount={digest}&from=alice/app"
        reply = self.send("bob", "POST", target)
        may = self.may("bob", "bob/app", "push") and self.may("bob", "alice/app", "pull")
        is_there = ("alice/app", digest) in self.present
        assert reply.status == ((201 if is_there else 202) if may else 403)
        if may and is_there:
            self.present.add(("bob/app", digest))

    @rule(user=users, repository=repositories)
    def change_right(self, user, repository):
        """A right is withdrawn or given at the primary; within the ttl that holds here too."""
        if self.rights.pop((user, repository), None) is None:
            self.rights[user, repository] = RIGHTS.get((user, repository), PULL)
        self.set_rights()
        self.one.clock.advance(60)

    @rule()
    def restart(self):
        self.one.restart()

    @invariant()
    def nothing_is_linked_that_the_primary_has_not(self):
        if not hasattr(self, "one"):
            return
        root = self.one.settings.store.root
        for repository in REPOSITORIES:
            linked = linked_blobs(root, repository) | linked_manifests(root, repository)
            assert linked <= {digest for name, digest in self.present if name == repository}

    def teardown(self):
        self.stack.close()


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
