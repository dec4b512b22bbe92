//! Opening the file: the lock, the key, the check of every page, the format, the settings.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use zeroize::Zeroizing;

use super::super::StoreError;
use super::super::seal::{Keys, file_key};
use super::{Db, Options};

/// The formats known here, oldest first: each script leads from the one before.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001.sql")];
/// SQLCipher's page.
const PAGE: u64 = 4_096;

pub(super) struct Opened {
    pub(super) writer: Db,
    pub(super) reader: Db,
    pub(super) reporter: Db,
    pub(super) checkpointer: Connection,
    pub(super) lock: File,
}

pub(super) fn open(options: Options) -> Result<Opened, StoreError> {
    let Options {
        path,
        key,
        policy,
        create,
        max_bytes,
    } = options;
    let lock = lock(&path)?;
    let secret = file_key(&key)?;
    let keys = Arc::new(Keys::derive(&key)?);
    let policy = Arc::new(policy);
    let located = |error: StoreError| located(error, &path);
    match std::fs::metadata(&path) {
        Ok(meta) => check_length(&path, meta.len())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            make(&path, &secret).map_err(located)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::Missing(path)),
        Err(error) => return Err(file_error(&path, error)),
    }
    let writer = connect(&path, &secret)?;
    check_pages(&writer, &path)?;
    check_format(&writer, &path)?;
    settle(&writer, max_bytes).map_err(|error| located(error.into()))?;
    let reader = connect(&path, &secret)?;
    let reporter = connect(&path, &secret)?;
    let checkpointer = connect(&path, &secret)?;
    settle(&reader, None).map_err(|error| located(error.into()))?;
    settle(&reporter, None).map_err(|error| located(error.into()))?;
    settle(&checkpointer, None).map_err(|error| located(error.into()))?;
    let shared: Arc<Path> = path.as_path().into();
    let db = |sql| Db {
        sql,
        keys: Arc::clone(&keys),
        policy: Arc::clone(&policy),
        path: Arc::clone(&shared),
    };
    Ok(Opened {
        writer: db(writer),
        reader: db(reader),
        reporter: db(reporter),
        checkpointer,
        lock,
    })
}

/// One process at a time; the lock goes with the process, however it ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(PathBuf::from(name))
        .map_err(|error| file_error(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(file_error(path, error)),
    }
}

fn check_length(path: &Path, length: u64) -> Result<(), StoreError> {
    if length == 0 {
        return Err(damaged(path, "it is empty"));
    }
    if length.checked_rem(PAGE) != Some(0) {
        return Err(damaged(
            path,
            format!("its length of {length} octets is no whole number of pages"),
        ));
    }
    Ok(())
}

/// Makes the file under another name and moves it into place when it is whole.
fn make(path: &Path, secret: &[u8; 32]) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file_error(path, error)),
        _ => {}
    }
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(|error| file_error(path, error))?;
    let mut sql = connect(&fresh, secret)?;
    let step = sql.transaction()?;
    for script in MIGRATIONS {
        step.execute_batch(script)?;
    }
    step.execute(
        "INSERT INTO meta (bucket, name, value) VALUES (0, 'format', ?1)",
        [known()],
    )?;
    step.execute(
        "INSERT INTO meta (bucket, name, value) VALUES (0, 'issue-number', 0)",
        [],
    )?;
    step.commit()?;
    sql.close().map_err(|(_, error)| error)?;
    std::fs::rename(&fresh, path).map_err(|error| file_error(path, error))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| file_error(path, error))
}

/// A connection that has read its first page, so its key is right.
fn connect(path: &Path, secret: &[u8; 32]) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(path, flags).map_err(|error| located(error.into(), path))?;
    let key = Zeroizing::new(format!("PRAGMA key = \"x'{}'\"", *hex(secret)));
    let quiet = "PRAGMA cipher_log_level = NONE";
    let read = sql
        .execute_batch(quiet)
        .and_then(|()| sql.execute_batch(&key))
        .and_then(|()| sql.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)));
    match read {
        Ok(_) => Ok(sql),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::WrongKey(path.to_owned()))
        }
        Err(error) => Err(located(error.into(), path)),
    }
}

/// Every page carries a MAC of SQLCipher's; all are checked, since a damaged one would otherwise show up some day later.
fn check_pages(sql: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut statement = sql
        .prepare("PRAGMA cipher_integrity_check")
        .map_err(|error| located(error.into(), path))?;
    let mut faults = statement.query([]).map_err(|error| located(error.into(), path))?;
    match faults.next().map_err(|error| located(error.into(), path))? {
        None => Ok(()),
        Some(row) => Err(damaged(path, row.get::<_, String>(0).unwrap_or_default())),
    }
}

fn check_format(sql: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = sql
        .query_row(
            "SELECT value FROM meta WHERE bucket = 0 AND name = 'format'",
            [],
            |row| row.get(0),
        )
        .map_err(|_| damaged(path, "its format is not recorded"))?;
    if found == known() {
        return Ok(());
    }
    Err(if found > known() {
        StoreError::Newer {
            path: path.to_owned(),
            found,
            known: known(),
        }
    } else {
        damaged(path, format!("its format {found} never existed"))
    })
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn settle(sql: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    sql.execute_batch(
        "PRAGMA busy_timeout = 10000;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -65536;
         PRAGMA trusted_schema = OFF;",
    )?;
    if let Some(pages) = max_bytes.and_then(|bytes| bytes.checked_div(PAGE)) {
        sql.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
    }
    sql.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Moves the log into the file. The pages in the log, and how many of them have been moved.
pub(super) fn checkpoint(sql: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    sql.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok((row.get(1)?, row.get(2)?))
    })
}

/// Names the file and the remedy for what the engine reports.
pub(super) fn located(error: StoreError, path: &Path) -> StoreError {
    let StoreError::Engine(cause) = &error else {
        return error;
    };
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(path.to_owned()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, cause.to_string()),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => StoreError::Disk {
            path: path.to_owned(),
            cause: Arc::clone(cause),
        },
        _ => error,
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        what: what.into(),
    }
}

fn file_error(path: &Path, source: std::io::Error) -> StoreError {
    if source.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::DiskFull(path.to_owned());
    }
    StoreError::File {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(2)));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    out
}
