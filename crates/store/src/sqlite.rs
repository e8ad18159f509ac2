//! The store in one SQLite file.

use std::path::{Path, PathBuf};

use rusqlite::{
    Connection, Error, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};

use crate::schema;
use crate::transaction::Write;
use crate::{Entry, Outcome, Revision, StoreError, Txn};

const COLUMNS: &str = "key, value, create_revision, mod_revision, version";

/// What sorts after every character that a key may have.
const AFTER_KEYS: char = '\u{7f}';

/// The one connection.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
    path: PathBuf,
}

impl Sqlite {
    pub(crate) fn open(path: &Path, migrations: &[&str]) -> Result<Self, StoreError> {
        let connection = schema::open(path, migrations)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    pub(crate) fn revision(&self) -> Result<Revision, StoreError> {
        present(&self.connection).context("read", &self.path)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        get(&self.connection, key).context("read", &self.path)
    }

    pub(crate) fn range(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Entry>> {
            let sql =
                format!("SELECT {COLUMNS} FROM entry WHERE key >= ?1 AND key < ?2 ORDER BY key");
            let mut statement = self.connection.prepare_cached(&sql)?;
            statement.query_map([prefix, &end(prefix)], entry)?.collect()
        };
        read().context("read", &self.path)
    }

    pub(crate) fn commit(&mut self, txn: &Txn) -> Result<Outcome, StoreError> {
        // Dropping the transaction, on a conflict or an error, rolls it back.
        let commit = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (key, condition) in &txn.conditions {
                let found = get(&transaction, key)?;
                if !condition.holds(found.as_ref()) {
                    return Ok(Outcome::Conflict { key: key.clone(), found });
                }
            }
            let before = present(&transaction)?;
            let next = Revision(before.0 + 1);
            let mut changed = false;
            for one in &txn.writes {
                changed |= write(&transaction, one, next)?;
            }
            if !changed {
                return Ok(Outcome::Committed(before));
            }
            transaction
                .prepare_cached("UPDATE revision SET value = ?1")?
                .execute([next.0 as i64])?;
            transaction.commit()?;
            Ok(Outcome::Committed(next))
        };
        commit(&mut self.connection).context("write", &self.path)
    }
}

fn present(connection: &Connection) -> rusqlite::Result<Revision> {
    let mut statement = connection.prepare_cached("SELECT value FROM revision")?;
    statement.query_row([], |row| number(row, 0)).map(Revision)
}

fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Entry>> {
    let sql = format!("SELECT {COLUMNS} FROM entry WHERE key = ?1");
    connection.prepare_cached(&sql)?.query_row([key], entry).optional()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        create_revision: Revision(number(row, 2)?),
        mod_revision: Revision(number(row, 3)?),
        version: number(row, 4)?,
    })
}

/// SQLite has signed integers only; ours count from 0 and never reach the sign.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// Does one write; returns whether it changed something.
fn write(transaction: &Transaction<'_>, write: &Write, next: Revision) -> rusqlite::Result<bool> {
    let changed = match write {
        Write::Put { key, value } => transaction
            .prepare_cached(
                "INSERT INTO entry (key, value, create_revision, mod_revision, version)
                 VALUES (?1, ?2, ?3, ?3, 1)
                 ON CONFLICT (key) DO UPDATE SET
                     value = excluded.value,
                     mod_revision = excluded.mod_revision,
                     version = entry.version + 1",
            )?
            .execute(params![key, value, next.0 as i64])?,
        Write::Delete { key } => {
            transaction.prepare_cached("DELETE FROM entry WHERE key = ?1")?.execute([key])?
        }
        Write::DeletePrefix { prefix } => transaction
            .prepare_cached("DELETE FROM entry WHERE key >= ?1 AND key < ?2")?
            .execute([prefix, &end(prefix)])?,
    };
    Ok(changed > 0)
}

/// Returns the end of the range of keys that begin with `prefix`.
fn end(prefix: &str) -> String {
    format!("{prefix}{AFTER_KEYS}")
}

/// Says what was tried on which file when SQLite fails.
pub(crate) trait Context<T> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Context<T> for Result<T, Error> {
    fn context(self, operation: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| {
            let path = path.to_owned();
            match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    StoreError::InUse(path)
                }
                Some(ErrorCode::DiskFull) => StoreError::Full(path),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StoreError::Damaged { path, detail: error.to_string() }
                }
                _ => StoreError::Database { operation, path, source: Box::new(error) },
            }
        })
    }
}
