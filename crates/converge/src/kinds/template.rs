//! `template`: a [`file`](super::file) whose content was rendered from a template.
//!
//! Rendering is the recipe's: it happens before the machine is looked at, and what arrives here is
//! the content, with the names of the attributes that were read for it.

use std::path::Path;

use resource::{Properties, Property, Schema, Shape};

use crate::before;
use crate::kind::Kind;
use crate::kinds::file::{
    ACTIONS, BACKUP, CONTENT, FORCE, File, GROUP, IDEMPOTENCE, MODE, OWNER, PATH, TIMEOUT, UNDO,
    VERIFY,
};
use crate::kinds::{equal_strength, relations_of_path, unchecked};

static SCHEMA: Schema = Schema {
    kind: "template",
    summary: "A regular file whose content is rendered from a template.",
    idempotence: IDEMPOTENCE,
    undo: UNDO,
    named: "path",
    actions: ACTIONS,
    properties: &[
        PATH,
        Property { text: "What was rendered.", ..CONTENT },
        Property {
            name: "source",
            shape: Shape::Text,
            required: false,
            secret: false,
            text: "The template, for people: its path in its cookbook.",
        },
        Property {
            name: "attributes",
            shape: Shape::ListOf(&Shape::Text),
            required: false,
            secret: false,
            text: "The attributes that were read for it, so that it is known what they affect.",
        },
        MODE,
        OWNER,
        GROUP,
        VERIFY,
        FORCE,
        BACKUP,
    ],
    relations: |declaration| {
        let path = Properties(declaration).named(&SCHEMA);
        relations_of_path(Path::new(path), declaration)
    },
};

/// The kind.
pub(super) static KIND: Kind = Kind {
    schema: &SCHEMA,
    check: unchecked,
    bind: |declaration, action| Box::new(File::of(declaration, action, &SCHEMA)),
    undoing: before::undoing,
    undo: before::undo,
    strength: equal_strength,
    records: "file",
    timeout: TIMEOUT,
};
