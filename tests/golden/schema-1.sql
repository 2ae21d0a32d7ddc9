-- The tables as lossguard 0.1 made them (schema version 1, before alembic).
PRAGMA user_version=1;
PRAGMA application_id=1280526162;
CREATE TABLE run (
    id VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    created_s FLOAT NOT NULL,
    seen_s FLOAT NOT NULL,
    world_size INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    finish VARCHAR,
    PRIMARY KEY (id)
);
CREATE TABLE audit (
    id INTEGER NOT NULL,
    run_id VARCHAR,
    at_s FLOAT NOT NULL,
    actor VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_audit_run_id ON audit (run_id);
CREATE TABLE token (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    scopes VARCHAR NOT NULL,
    sha256 BLOB NOT NULL,
    created_s FLOAT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (sha256)
);
CREATE TABLE stream (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    rank INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    judged_seq INTEGER NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (run_id, rank, attempt),
    FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE event (
    id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    time_s FLOAT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE INDEX ix_event_run_id ON event (run_id);
CREATE TABLE alert (
    number INTEGER NOT NULL,
    id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (id),
    FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE INDEX ix_alert_run_id ON alert (run_id);
CREATE TABLE command (
    id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    args TEXT NOT NULL,
    idempotency_key VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    reason VARCHAR,
    alert VARCHAR,
    state VARCHAR NOT NULL,
    created_s FLOAT NOT NULL,
    step INTEGER,
    old TEXT,
    new TEXT,
    refusal VARCHAR,
    history TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (run_id, idempotency_key),
    UNIQUE (run_id, number),
    FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE journal (
    stream_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    first_step INTEGER,
    last_step INTEGER,
    payload BLOB NOT NULL,
    PRIMARY KEY (stream_id, seq),
    FOREIGN KEY(stream_id) REFERENCES stream (id)
);
CREATE INDEX journal_not_frame ON journal (stream_id, seq) WHERE kind != 'frame';
