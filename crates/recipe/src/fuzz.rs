//! Fuzz targets: whatever is written, an evaluation ends, and with a value or an error that can be
//! told.

use report::{Failure, Secret};
use resource::{Action, Property, RecipeName, Relations, Schema, Shape, Value};

use crate::{LookupError, Node, Request, Source, Sources, evaluate};

static ANYTHING: Schema = Schema {
    kind: "anything",
    summary: "",
    idempotence: "",
    undo: "",
    named: "name",
    actions: &[Action { name: "keep", text: "" }],
    properties: &[
        Property { name: "name", shape: Shape::Text, required: true, secret: false, text: "" },
        Property { name: "value", shape: Shape::Any, required: false, secret: true, text: "" },
    ],
    relations: |_| Relations { provides: Vec::new(), needs: Vec::new() },
};

/// A cookbook of one recipe and one template.
struct Scene<'b> {
    recipe: &'b [u8],
    template: &'b [u8],
    attributes: Value,
}

impl Sources for Scene<'_> {
    fn read(&self, cookbook: &str, path: &str) -> Result<Option<Source>, LookupError> {
        let bytes = match path {
            "recipes/default.star" => self.recipe,
            "templates/t.j2" => self.template,
            _ => return Ok(None),
        };
        Ok(Some(Source { name: format!("cookbooks/{cookbook}/{path}"), bytes: bytes.into() }))
    }

    fn list(&self, _: &str, _: &str) -> Result<Vec<String>, LookupError> {
        Ok(vec!["templates/t.j2".to_owned()])
    }

    fn cookbooks(&self) -> Vec<String> {
        vec!["web".to_owned()]
    }
}

impl Node for Scene<'_> {
    fn attributes(&self) -> &Value {
        &self.attributes
    }

    fn fact(&self, _: &str) -> Result<Option<Value>, LookupError> {
        Ok(None)
    }

    fn facts(&self) -> Vec<String> {
        Vec::new()
    }

    fn data_bag_item(&self, _: &str, _: &str) -> Result<Option<Value>, LookupError> {
        Ok(None)
    }

    fn data_bag_ids(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn data_bags(&self) -> Vec<String> {
        Vec::new()
    }

    fn env_of(&self, _: &str, _: &str) -> Result<Option<Secret>, LookupError> {
        Ok(Some(Secret::new(TOLD_TO_NOBODY)))
    }

    fn services(&self, _: &str) -> Result<Vec<Value>, LookupError> {
        Ok(Vec::new())
    }
}

/// A secret that no error and no notice may hold.
const TOLD_TO_NOBODY: &str = "4b1d-c0ffee";

fn check(recipe: &[u8], template: &[u8]) {
    let own = [recipe, template].iter().any(|bytes| {
        bytes.windows(TOLD_TO_NOBODY.len()).any(|part| part == TOLD_TO_NOBODY.as_bytes())
    });
    let attributes = Value::Map([("port".to_owned(), Value::Integer(80))].into());
    let scene = Scene { recipe, template, attributes };
    let done = evaluate(&Request {
        recipes: &[RecipeName::new("web", "default")],
        schemas: &[&ANYTHING],
        sources: &scene,
        node: &scene,
        cancelled: &|| false,
    });
    let told = match done {
        Ok(evaluated) => format!("{evaluated:?}"),
        Err(problem) => Failure::from(problem).to_string(),
    };
    assert!(own || !told.contains(TOLD_TO_NOBODY), "a secret was told");
}

/// Fuzz target: a recipe of any bytes neither panics nor hangs, nor tells a secret.
#[doc(hidden)]
pub fn fuzz_recipe(bytes: &[u8]) {
    check(bytes, b"{{ node.port }}");
}

/// Fuzz target: a template of any bytes neither panics nor hangs, nor tells a secret.
#[doc(hidden)]
pub fn fuzz_template(bytes: &[u8]) {
    let recipe = b"anything('x', value = render('t.j2', {'s': env_of('a', 'b'), 'l': [1, 'x']}))";
    check(recipe, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_run() {
        for bytes in
            [&b"anything(env_of('a', 'b'))"[..], b"{{ s }}", b"\xff", b"print(env_of(1, 2))"]
        {
            fuzz_recipe(bytes);
            fuzz_template(bytes);
        }
    }
}
