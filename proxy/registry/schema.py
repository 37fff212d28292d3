"""The sidecar's tables, step by step: each entry leads from one schema version to the next.

A new file takes all steps, an older one those it lacks; so there is one way to every table.
"""

_FIRST = """
CREATE TABLE tag (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, checked_at REAL NOT NULL,
    PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE TABLE answer (
    kind TEXT NOT NULL, repository TEXT NOT NULL, key TEXT NOT NULL,
    headers TEXT NOT NULL, body BLOB NOT NULL, checked_at REAL NOT NULL,
    PRIMARY KEY (kind, repository, key)
) WITHOUT ROWID;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

# `content.key` and `evicted.key` are a digest's algorithm in one byte and its value in bytes: half
# of what its text takes. `content_order` holds all that eviction reads.
_CAPACITY = """
CREATE INDEX tag_age ON tag (checked_at);
CREATE INDEX answer_age ON answer (checked_at);
CREATE TABLE content (
    key BLOB PRIMARY KEY, size INTEGER NOT NULL, rank INTEGER NOT NULL, used_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX content_order ON content (rank, used_at, key, size);
CREATE TABLE evicted (key BLOB PRIMARY KEY, size INTEGER NOT NULL, at INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX evicted_age ON evicted (at);
CREATE TABLE pin (
    repository TEXT NOT NULL, reference TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (repository, reference)
) WITHOUT ROWID;
"""

# What replication has still to do; `reference` is empty for a whole repository.
_JOBS = """
CREATE TABLE job (
    kind TEXT NOT NULL, repository TEXT NOT NULL, reference TEXT NOT NULL,
    trigger TEXT NOT NULL, event_at REAL NOT NULL, is_deletion INTEGER NOT NULL,
    attempts INTEGER NOT NULL, first_at REAL NOT NULL, made INTEGER NOT NULL,
    priority INTEGER NOT NULL, due_at REAL NOT NULL, error TEXT NOT NULL, is_dead INTEGER NOT NULL,
    PRIMARY KEY (kind, repository, reference)
) WITHOUT ROWID;
CREATE INDEX job_order ON job (is_dead, priority, due_at);
CREATE INDEX job_due ON job (is_dead, due_at);
CREATE TABLE copy (
    id TEXT PRIMARY KEY, repository TEXT NOT NULL, reference TEXT NOT NULL, digest TEXT NOT NULL,
    state TEXT NOT NULL, started_at REAL NOT NULL, changed_at REAL NOT NULL, document TEXT NOT NULL,
    is_reported INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX copy_time ON copy (started_at);
CREATE INDEX copy_unreported ON copy (is_reported, changed_at);
CREATE TABLE parked (
    number INTEGER PRIMARY KEY AUTOINCREMENT, received_at REAL NOT NULL, sender TEXT NOT NULL,
    headers TEXT NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL
);
"""

# What was there before the replica was, and what becomes of it; `tag` is empty for the repository.
_BACKFILL = """
CREATE TABLE backfill (
    repository TEXT NOT NULL, tag TEXT NOT NULL, state INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE INDEX backfill_state ON backfill (state);
"""

# What the artifacts in the log are made of. A content that enters or leaves the index makes them
# doubtful: somebody has to look whether they are whole, and takes away the doubts there were before
# that alone. They go with the last entry about them.
_PARTS = """
CREATE TABLE artifact (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, doubts INTEGER NOT NULL
);
CREATE INDEX artifact_doubtful ON artifact (id) WHERE doubts > 0;
CREATE TABLE part (key BLOB NOT NULL, artifact INTEGER NOT NULL, PRIMARY KEY (key, artifact))
    WITHOUT ROWID;
CREATE INDEX part_artifact ON part (artifact);
CREATE INDEX copy_digest ON copy (digest);
CREATE TRIGGER content_came AFTER INSERT ON content BEGIN
    UPDATE artifact SET doubts = doubts + 1
    WHERE id IN (SELECT artifact FROM part WHERE key = NEW.key);
END;
CREATE TRIGGER content_left AFTER DELETE ON content BEGIN
    UPDATE artifact SET doubts = doubts + 1
    WHERE id IN (SELECT artifact FROM part WHERE key = OLD.key);
END;
CREATE TRIGGER artifact_left AFTER DELETE ON copy
WHEN NOT EXISTS (SELECT 1 FROM copy WHERE digest = OLD.digest) BEGIN
    DELETE FROM part WHERE artifact = (SELECT id FROM artifact WHERE digest = OLD.digest);
    DELETE FROM artifact WHERE digest = OLD.digest;
END;
"""

STEPS = (_FIRST, _CAPACITY, _JOBS, _BACKFILL, _PARTS)
VERSION = len(STEPS)
