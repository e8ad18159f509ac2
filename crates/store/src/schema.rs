//! Opening a SQLite file: what it is, how old it is, and what it must become.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::{DiskError, PathContext};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::StoreError;
use crate::sqlite::Context;

/// `Skep` in ASCII.
const APPLICATION_ID: u32 = 0x536B_6570;

/// Most findings of SQLite's check that an error quotes.
const MAX_FINDINGS: usize = 3;

/// What the WAL is cut to after a checkpoint; large values leave it as long as they were.
const MAX_IDLE_WAL_BYTES: u32 = 4 << 20;

/// The schema's history: the statements at index `n` turn version `n` into version `n + 1`.
pub(crate) const MIGRATIONS: &[&str] = &["
    CREATE TABLE entry (
        key TEXT PRIMARY KEY NOT NULL,
        value BLOB NOT NULL,
        create_revision INTEGER NOT NULL,
        mod_revision INTEGER NOT NULL,
        version INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE revision (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 0),
        value INTEGER NOT NULL
    ) STRICT;
    INSERT INTO revision (only_row, value) VALUES (0, 0);
"];

/// Opens the file, made if missing, at the version that `migrations` lead to.
pub(crate) fn open(path: &Path, migrations: &[&str]) -> Result<Connection, StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if disk::is_network_filesystem(directory)? {
        return Err(StoreError::NetworkFilesystem(path.to_owned()));
    }
    let fresh = create(path)?;
    if fresh {
        disk::sync_directory(directory)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).context("open", path)?;

    // Refused at once: whoever has it open keeps it.
    connection.busy_timeout(Duration::ZERO).context("configure", path)?;
    // Before anything is written: is it ours, and is it not newer than we are?
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;")
        .context("lock", path)?;
    let version = version(&connection, path, migrations)?;

    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA journal_size_limit = {MAX_IDLE_WAL_BYTES};"
        ))
        .context("configure", path)?;
    check(&connection, path)?;
    if version < migrations.len() {
        if version > 0 {
            copy(&connection, path, migrations.len())?;
        }
        migrate(&mut connection, &migrations[version..], migrations.len())
            .context("migrate", path)?;
    }
    Ok(connection)
}

/// Makes an empty file for its owner alone, unless there is one; returns whether it did.
fn create(path: &Path) -> Result<bool, DiskError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(DiskError::new("create", path, error)),
    }
}

/// Returns the file's version; 0 for an empty one.
fn version(connection: &Connection, path: &Path, migrations: &[&str]) -> Result<usize, StoreError> {
    let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u32>(0));
    let tables = read("SELECT count(*) FROM sqlite_schema").context("read", path)?;
    let application = read("PRAGMA application_id").context("read", path)?;
    let version = read("PRAGMA user_version").context("read", path)?;
    if (tables, application, version) == (0, 0, 0) {
        return Ok(0);
    }
    if application != APPLICATION_ID || version == 0 {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if version as usize > migrations.len() {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: migrations.len() as u32,
        });
    }
    Ok(version as usize)
}

/// Runs SQLite's own check of the whole file.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut findings = connection.prepare("PRAGMA quick_check").context("check", path)?;
    let findings: Vec<String> = findings
        .query_map([], |row| row.get(0))
        .and_then(|rows| rows.take(MAX_FINDINGS).collect())
        .context("check", path)?;
    if findings == ["ok"] {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), detail: findings.join("; ") })
}

/// Returns where the state before a migration to `version` is kept.
pub(crate) fn copy_path(path: &Path, version: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-v{version}"));
    path.with_file_name(name)
}

/// Copies the whole store, synced and renamed into place; one of an earlier attempt is replaced.
fn copy(connection: &Connection, path: &Path, version: usize) -> Result<(), StoreError> {
    let target = copy_path(path, version);
    let mut temporary = target.clone().into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    disk::remove_file(&temporary)?;
    // Made here and not by SQLite, which would let others read it.
    create(&temporary)?;
    let name = temporary.to_str().ok_or_else(|| {
        DiskError::new("name", &temporary, io::Error::from(io::ErrorKind::InvalidFilename))
    })?;
    connection.execute("VACUUM INTO ?1", [name]).context("copy", path)?;
    let file = File::open(&temporary).context("open", &temporary)?;
    file.sync_all().context("sync", &temporary)?;
    std::fs::rename(&temporary, &target).context("rename", &temporary)?;
    disk::sync_directory(target.parent().unwrap_or_else(|| Path::new(".")))?;
    Ok(())
}

/// Applies what is missing, all or nothing.
fn migrate(connection: &mut Connection, missing: &[&str], version: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for statements in missing {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version as u32)?;
    transaction.commit()
}
