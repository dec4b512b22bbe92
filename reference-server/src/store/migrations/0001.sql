-- Format 1. `bucket` leads every key; no sequences, triggers or foreign keys; `version` is the format of the row.
-- Columns named `sealed_…` hold AES-256-GCM ciphertext; 16-octet `…_index` columns are blind indexes.

CREATE TABLE meta (
    bucket INTEGER NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (bucket, name)
) STRICT, WITHOUT ROWID;

-- Companies (kind 1) and shops (kind 4), by the ledger's account codes.
CREATE TABLE parties (
    bucket INTEGER NOT NULL,
    party INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    sealed_name BLOB NOT NULL,
    PRIMARY KEY (bucket, party)
) STRICT, WITHOUT ROWID;

-- In the bucket of the card's index; tells where the account lives.
CREATE TABLE directory (
    bucket INTEGER NOT NULL,
    card_index BLOB NOT NULL,
    version INTEGER NOT NULL,
    account INTEGER NOT NULL,
    account_bucket INTEGER NOT NULL,
    PRIMARY KEY (bucket, card_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    bucket INTEGER NOT NULL,
    account INTEGER NOT NULL,
    version INTEGER NOT NULL,
    company INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (bucket, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE cards (
    bucket INTEGER NOT NULL,
    card_index BLOB NOT NULL,
    version INTEGER NOT NULL,
    account INTEGER NOT NULL,
    sealed_pan BLOB NOT NULL,
    last_month INTEGER NOT NULL,
    status INTEGER NOT NULL,
    check_key_version INTEGER NOT NULL,
    PRIMARY KEY (bucket, card_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE lots (
    bucket INTEGER NOT NULL,
    account INTEGER NOT NULL,
    lot BLOB NOT NULL,
    version INTEGER NOT NULL,
    received INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    remaining INTEGER NOT NULL CHECK (remaining BETWEEN 0 AND granted),
    PRIMARY KEY (bucket, account, lot)
) STRICT, WITHOUT ROWID;

-- What an account spent on a calendar day of the programme, reversals taken off; derived from the postings.
CREATE TABLE spent (
    bucket INTEGER NOT NULL,
    account INTEGER NOT NULL,
    day INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (bucket, account, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE terminals (
    bucket INTEGER NOT NULL,
    terminal_index BLOB NOT NULL,
    version INTEGER NOT NULL,
    sealed_uri BLOB NOT NULL,
    shop INTEGER NOT NULL,
    low_water INTEGER NOT NULL,
    status INTEGER NOT NULL,
    PRIMARY KEY (bucket, terminal_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (
    bucket INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    version INTEGER NOT NULL,
    subject_index BLOB NOT NULL,
    sealed_subject BLOB NOT NULL,
    sealed_der BLOB NOT NULL,
    role TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    revoked INTEGER,
    PRIMARY KEY (bucket, sha256)
) STRICT;

CREATE TABLE vouchers (
    bucket INTEGER NOT NULL,
    voucher_index BLOB NOT NULL,
    version INTEGER NOT NULL,
    sealed_secret BLOB NOT NULL,
    sealed_uri BLOB NOT NULL,
    role TEXT NOT NULL,
    shop INTEGER,
    expires INTEGER NOT NULL,
    request BLOB,
    sealed_answer BLOB,
    PRIMARY KEY (bucket, voucher_index)
) STRICT;

-- In the terminal's bucket. kind: 0 tombstone (no digest), 1 authorise, 2 reversal.
CREATE TABLE claims (
    bucket INTEGER NOT NULL,
    terminal_index BLOB NOT NULL,
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    digest BLOB,
    account INTEGER,
    account_bucket INTEGER,
    card_index BLOB,
    at INTEGER NOT NULL,
    PRIMARY KEY (bucket, terminal_index, id)
) STRICT, WITHOUT ROWID;

-- In the account's bucket, or the terminal's if there is no account. kind: 0 tombstone, 1 authorise, 2 reversal.
CREATE TABLE decisions (
    bucket INTEGER NOT NULL,
    terminal_index BLOB NOT NULL,
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    digest BLOB,
    outcome INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    original INTEGER,
    day INTEGER,
    at INTEGER NOT NULL,
    sealed_evidence BLOB,
    sealed_answer BLOB,
    PRIMARY KEY (bucket, terminal_index, id)
) STRICT;

-- The one reversal that an approval can have, in the bucket of the approval's decision.
CREATE TABLE reversals (
    bucket INTEGER NOT NULL,
    terminal_index BLOB NOT NULL,
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    reversed_by INTEGER NOT NULL,
    PRIMARY KEY (bucket, terminal_index, id)
) STRICT, WITHOUT ROWID;

-- Signed refusals of commands that came after their tombstone, beside the tombstone.
CREATE TABLE refusals (
    bucket INTEGER NOT NULL,
    terminal_index BLOB NOT NULL,
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    digest BLOB NOT NULL,
    at INTEGER NOT NULL,
    sealed_evidence BLOB NOT NULL,
    sealed_answer BLOB NOT NULL,
    PRIMARY KEY (bucket, terminal_index, id)
) STRICT;

-- Append-only. `cause` and `kind` name an entry, whose lines sum to zero. `day` is the programme's calendar day in whose
-- spending the lines of a sale, and of its reversal, count.
CREATE TABLE postings (
    bucket INTEGER NOT NULL,
    cause BLOB NOT NULL,
    kind INTEGER NOT NULL,
    line INTEGER NOT NULL,
    version INTEGER NOT NULL,
    account_kind INTEGER NOT NULL,
    account INTEGER NOT NULL,
    lot BLOB,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    day INTEGER,
    at INTEGER NOT NULL,
    PRIMARY KEY (bucket, cause, kind, line)
) STRICT, WITHOUT ROWID;
