//! Values into the language and out of it.
//!
//! What goes in comes out equal. The language has what values do not (functions, sets, resources),
//! which are refused, and larger numbers.

use std::collections::BTreeMap;

use resource::{MAX_DEPTH, Value};
use starlark::values::bytes::StarlarkBytes;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::list::{AllocList, ListRef};
use starlark::values::structs::{AllocStruct, StructRef};
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, UnpackValue, Value as Word, ValueLike};

use crate::complaint::Complaint;
use crate::functions::handle::Handle;
use crate::functions::secret_word::SecretWord;
use crate::secret::{Secrets, has_mark, plain};

/// Returns a value as the language has it.
pub(crate) fn into_word<'v>(
    secrets: &Secrets,
    heap: Heap<'v>,
    value: &Value,
) -> Result<Word<'v>, Complaint> {
    Ok(match value {
        Value::Null => Word::new_none(),
        Value::Bool(bool) => Word::new_bool(*bool),
        Value::Integer(integer) => heap.alloc(*integer),
        Value::Float(float) => heap.alloc(*float),
        Value::Text(text) => heap.alloc(unmarked(text)?),
        Value::Bytes(bytes) => heap.alloc(StarlarkBytes::new(bytes)),
        Value::Secret(secret) => heap.alloc(SecretWord::new(secrets.mark(secret))),
        Value::List(items) => {
            let items = items.iter().map(|item| into_word(secrets, heap, item));
            heap.alloc(AllocList(items.collect::<Result<Vec<_>, _>>()?))
        }
        Value::Map(members) => heap.alloc(AllocDict(members_of(secrets, heap, members)?)),
    })
}

/// Returns a map as a struct, so that its members are read with a dot.
pub(crate) fn into_struct<'v>(
    secrets: &Secrets,
    heap: Heap<'v>,
    value: &Value,
) -> Result<Word<'v>, Complaint> {
    match value {
        Value::Map(members) => {
            let members = members_of(secrets, heap, members)?;
            Ok(heap.alloc(AllocStruct(members)))
        }
        other => into_word(secrets, heap, other),
    }
}

fn members_of<'m, 'v>(
    secrets: &Secrets,
    heap: Heap<'v>,
    members: &'m BTreeMap<String, Value>,
) -> Result<Vec<(&'m str, Word<'v>)>, Complaint> {
    let members = members
        .iter()
        .map(|(name, member)| Ok((unmarked(name)?, into_word(secrets, heap, member)?)));
    members.collect()
}

fn unmarked(text: &str) -> Result<&str, Complaint> {
    match has_mark(text) {
        true => Err(Complaint::new(
            "the text holds a character that stands for secrets (of Unicode's last private plane)",
        )),
        false => Ok(text),
    }
}

/// Returns what the language has as a value.
pub(crate) fn from_word(secrets: &Secrets, word: Word<'_>) -> Result<Value, Complaint> {
    at_depth(secrets, word, 0)
}

fn at_depth(secrets: &Secrets, word: Word<'_>, depth: usize) -> Result<Value, Complaint> {
    if depth > MAX_DEPTH {
        return Err(Complaint::new(format!("nested deeper than {MAX_DEPTH} levels")));
    }
    if word.is_none() {
        return Ok(Value::Null);
    }
    if let Some(text) = word.unpack_str() {
        return secrets.reveal(text);
    }
    if let Some(bool) = word.unpack_bool() {
        return Ok(Value::Bool(bool));
    }
    if word.get_type() == "int" {
        let integer = i64::unpack_value(word).ok().flatten();
        return integer.map(Value::Integer).ok_or_else(|| {
            Complaint::new(format!("{} does not fit into 64 bits", word.to_repr()))
        });
    }
    if let Some(float) = word.downcast_ref::<starlark::values::float::StarlarkFloat>() {
        return match float.0.is_finite() {
            true => Ok(Value::Float(float.0)),
            false => Err(Complaint::new(format!("{} is no number that can be kept", float.0))),
        };
    }
    if let Some(secret) = SecretWord::from_value(word) {
        return secrets.reveal(secret.marked());
    }
    if let Some(bytes) = word.downcast_ref::<StarlarkBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().into()));
    }
    if let Some(items) = items(word) {
        let items = items.iter().map(|item| at_depth(secrets, *item, depth + 1));
        return Ok(Value::List(items.collect::<Result<_, _>>()?));
    }
    if let Some(members) = DictRef::from_value(word) {
        let members = members.iter().map(|(key, member)| {
            let key = key.unpack_str().ok_or_else(|| {
                Complaint::new(format!("keys must be text, not {}", name_of(key)))
            })?;
            let key = plain("a key", key)?.to_owned();
            Ok((key, at_depth(secrets, member, depth + 1)?))
        });
        return Ok(Value::Map(members.collect::<Result<_, Complaint>>()?));
    }
    if let Some(members) = StructRef::from_value(word) {
        let members = members.iter().map(|(key, member)| {
            Ok((key.as_str().to_owned(), at_depth(secrets, member, depth + 1)?))
        });
        return Ok(Value::Map(members.collect::<Result<_, Complaint>>()?));
    }
    Err(match word.downcast_ref::<Handle>() {
        Some(handle) => {
            Complaint::new(format!("{} is a resource, and this is no place for one", handle.id()))
                .hint("`after`, `notifies` and `subscribes` take resources")
        }
        None => Complaint::new(format!("{} is nothing that can be kept", name_of(word))),
    })
}

/// Returns the items of a list or a tuple.
pub(crate) fn items(word: Word<'_>) -> Option<&[Word<'_>]> {
    let list = ListRef::from_value(word).map(ListRef::content);
    list.or_else(|| TupleRef::from_value(word).map(TupleRef::content))
}

/// Returns what a value is called in an error.
pub(crate) fn name_of(word: Word<'_>) -> &'static str {
    match word.get_type() {
        "NoneType" => "None",
        "bool" => "True or False",
        "int" | "float" => "a number",
        "string" => "text",
        "list" | "tuple" => "a list",
        "dict" => "a dict",
        "struct" => "a struct",
        "function" => "a function",
        "set" => "a set",
        "resource" => "a resource",
        "notification" => "a notification",
        "condition" => "a condition",
        "secret" => "a secret",
        other => other,
    }
}
