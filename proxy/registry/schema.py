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

STEPS = (_FIRST, _CAPACITY)
VERSION = len(STEPS)
