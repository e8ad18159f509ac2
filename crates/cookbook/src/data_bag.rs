//! Data bags: `data_bags/<bag>/<id>.json`, one item a file, its `id` being the file's name.
//!
//! A value may be encrypted, by itself, wherever it stands:
//!
//! ```json
//! { "id": "main", "user": "shop", "password": { "encrypted": "-----BEGIN AGE ENCRYPTED FILE-----\n…" } }
//! ```
//!
//! That is what `age --encrypt --armor -r RECIPIENT` writes, on one line. Recipes get it as a secret,
//! which nothing shows. The key is the installation's, or a file that is named; it is read when the first
//! value needs it.

use std::path::{Path, PathBuf};

use environment::{Key, KeyError};
use nodes::repository::{LoadError, read_text};
use nodes::{Data, MAX_FILE_BYTES, ParseErrors};
use report::{Failure, Kind, Secret};
use resource::Value;

use crate::codebase::{self, CODEBASES};
use crate::mistakes::Mistakes;
use crate::name;
use crate::value::plain;

/// The directory of all data bags.
pub const DATA_BAGS: &str = "data_bags";

/// The key under which an encrypted value stands.
const ENCRYPTED: &str = "encrypted";

/// The data bags of a repository.
#[derive(Debug, Clone)]
pub struct DataBags {
    directory: PathBuf,
    key: PathBuf,
}

/// Why an item cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// Its file cannot be read, or is wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is something to decrypt and no key.
    #[error("`{what}` is encrypted, and there is no key at `{}`", key.display())]
    NoKey {
        /// Which value.
        what: String,
        /// Where a key was looked for.
        key: PathBuf,
    },
    /// A value cannot be decrypted.
    #[error("failed to decrypt `{what}`")]
    Decrypt {
        /// Which value.
        what: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// What was encrypted is no text.
    #[error("what is encrypted in `{0}` is not UTF-8 text")]
    NotText(String),
}

impl From<BagError> for Failure {
    fn from(error: BagError) -> Self {
        let failure = Failure::from_error(Kind::Usage, &error);
        match error {
            BagError::Load(error) => error.into(),
            BagError::NoKey { .. } | BagError::Decrypt { .. } => {
                failure.hint("--data-key FILE    names the key that it was encrypted for")
            }
            BagError::NotText(_) => failure,
        }
    }
}

impl DataBags {
    /// Returns the data bags of a repository; `key` is the file of the age key that opens them.
    pub fn of(repository: &Path, key: PathBuf) -> Self {
        Self { directory: repository.join(DATA_BAGS), key }
    }

    /// Returns an item, `None` if there is none.
    pub fn item(&self, bag: &str, id: &str) -> Result<Option<Value>, BagError> {
        let Some((file, root)) = self.parsed(bag, id)? else { return Ok(None) };
        let mut opening = Opening { key: None, path: &self.key };
        opening.value(&root, &file, "").map(Some)
    }

    /// Checks an item without decrypting anything.
    pub fn check(&self, bag: &str, id: &str) -> Result<(), BagError> {
        self.parsed(bag, id).map(|_| ())
    }

    fn parsed(&self, bag: &str, id: &str) -> Result<Option<(String, nodes::Value)>, BagError> {
        if name::refusal(bag).is_some() || name::refusal(id).is_some() {
            return Ok(None);
        }
        let file = format!("{DATA_BAGS}/{bag}/{id}.json");
        let path = self.directory.join(bag).join(format!("{id}.json"));
        let Some(text) = read_text(&path, MAX_FILE_BYTES)? else { return Ok(None) };
        let root = parse_item(&file, bag, id, &text).map_err(LoadError::from)?;
        Ok(Some((file, root)))
    }

    /// Returns the names of all data bags, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = entries(&self.directory, Path::is_dir);
        names.sort_unstable();
        names
    }

    /// Returns the ids of a data bag's items, sorted.
    pub fn ids(&self, bag: &str) -> Vec<String> {
        if name::refusal(bag).is_some() {
            return Vec::new();
        }
        let files = entries(&self.directory.join(bag), Path::is_file);
        let ids = files.iter().filter_map(|name| name.strip_suffix(".json"));
        let mut ids: Vec<String> = ids.map(str::to_owned).collect();
        ids.sort_unstable();
        ids
    }
}

/// Returns the names in a directory; one that cannot be listed has none. For suggestions.
fn entries(directory: &Path, like: impl Fn(&Path) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let entries = entries.flatten().filter(|entry| like(&entry.path()));
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Reads an item without decrypting anything.
pub(crate) fn parse_item(
    file: &str,
    bag: &str,
    id: &str,
    text: &str,
) -> Result<nodes::Value, ParseErrors> {
    let (mut mistakes, root) = Mistakes::read(file, text, file)?;
    if mistakes.any_dict("an item of a data bag", &root).is_some()
        && let Some((found, value)) = mistakes.required("an item", &root, "id")
        && found != id
    {
        let label = format!("`id` must be `{id}`, as the file is called");
        mistakes.add(value.origin.span.clone(), label);
    }
    check_encrypted(&mut mistakes, &root);
    if bag == CODEBASES {
        codebase::check(&mut mistakes, &root);
    }
    mistakes.into_result(Some(root))
}

/// Says where `encrypted` does not stand alone with a text.
fn check_encrypted(mistakes: &mut Mistakes, value: &nodes::Value) {
    match &value.data {
        Data::List(items) => items.iter().for_each(|item| check_encrypted(mistakes, item)),
        Data::Map(entries) => {
            for (key, entry) in entries {
                if key != ENCRYPTED {
                    check_encrypted(mistakes, &entry.value);
                } else if entries.len() > 1 {
                    let label = "`encrypted` stands alone: each value is encrypted by itself";
                    mistakes.add(entry.key.clone(), label);
                } else if !entry.value.as_text().is_some_and(|text| text.contains("AGE ENCRYPTED"))
                {
                    let label = "expected what `age --encrypt --armor` writes, as a string";
                    mistakes.add(entry.value.origin.span.clone(), label);
                }
            }
        }
        _ => {}
    }
}

/// Returns the text of an encrypted value, still encrypted.
pub(crate) fn encrypted(value: &nodes::Value) -> Option<&str> {
    let entries = value.as_map().filter(|entries| entries.len() == 1)?;
    entries.get(ENCRYPTED)?.value.as_text()
}

/// Decrypts the values of one item.
struct Opening<'a> {
    key: Option<Key>,
    path: &'a Path,
}

impl Opening<'_> {
    fn value(&mut self, value: &nodes::Value, file: &str, path: &str) -> Result<Value, BagError> {
        if let Some(text) = encrypted(value) {
            let what = format!("{file}: {path}");
            let plain = self.decrypt(&what, text)?;
            let plain = String::from_utf8(plain).map_err(|_| BagError::NotText(what))?;
            return Ok(Value::Secret(Secret::new(plain)));
        }
        match &value.data {
            Data::Map(entries) => {
                let members = entries.iter().map(|(key, entry)| {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    Ok((key.clone(), self.value(&entry.value, file, &path)?))
                });
                Ok(Value::Map(members.collect::<Result<_, BagError>>()?))
            }
            Data::List(items) => {
                let items = items.iter().enumerate();
                let items =
                    items.map(|(at, item)| self.value(item, file, &format!("{path}[{at}]")));
                Ok(Value::List(items.collect::<Result<_, _>>()?))
            }
            _ => Ok(plain(value)),
        }
    }

    fn decrypt(&mut self, what: &str, text: &str) -> Result<Vec<u8>, BagError> {
        let failed = |source| BagError::Decrypt { what: what.to_owned(), source };
        let key = match self.key.take() {
            Some(key) => key,
            None => match Key::open(self.path) {
                Err(KeyError::Disk(error)) if error.is_not_found() => {
                    let key = self.path.to_owned();
                    return Err(BagError::NoKey { what: what.to_owned(), key });
                }
                opened => opened.map_err(failed)?,
            },
        };
        let plain = key.decrypt_armored(what, text).map_err(failed);
        self.key = Some(key);
        plain
    }
}
