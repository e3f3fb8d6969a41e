-- The tables of schema version 1, frozen. Never edit; a later version gets a file of its own.
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    seq INTEGER NOT NULL PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL,
    extra BLOB NOT NULL, chain BLOB NOT NULL CHECK (length(chain) = 32)
) STRICT;
CREATE TABLE items (
    origin BLOB NOT NULL, epoch BLOB NOT NULL CHECK (length(epoch) = 16), seq INTEGER NOT NULL,
    content_hash BLOB NOT NULL, own INTEGER NOT NULL CHECK (own IN (0, 1)), raw BLOB NOT NULL,
    PRIMARY KEY (origin, epoch, seq)
) STRICT;
CREATE TABLE attempts (
    round INTEGER NOT NULL, iteration INTEGER NOT NULL, ordinal INTEGER NOT NULL,
    serial INTEGER NOT NULL, request_hash BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'unknown', 'orphaned')),
    operator TEXT NOT NULL, model TEXT NOT NULL, request BLOB NOT NULL, reply BLOB NOT NULL,
    outcome TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    reserved_micro_usd INTEGER NOT NULL, settled_micro_usd INTEGER, reserved_ms INTEGER NOT NULL,
    settled_ms INTEGER NOT NULL,
    PRIMARY KEY (round, iteration, ordinal, serial)
) STRICT;
CREATE INDEX attempts_reserved ON attempts (state) WHERE state = 'reserved';
INSERT INTO meta VALUES ('run', x'0102');
INSERT INTO journal VALUES (
    1, 'skip', x'00940100a7696e76616c6964c400', x'00',
    x'f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1'
);
INSERT INTO items VALUES (
    x'aa', x'00000000000000000000000000000005', 3, x'bb', 1, x'00726177'
);
INSERT INTO attempts VALUES (
    2, 7, 0, 0, x'cc', 'settled', 'llm', 'm', x'0071', x'0072', 'ok', 1, 2, 3, 4, 5, 6, 7, 8
);
PRAGMA application_id = 0x64656964;
PRAGMA user_version = 1;
