//! DNA: the JSON that chef-solo takes with `-j`.
//!
//! `run_list` (or its legacy spelling `recipes`; both are an error) says what runs, `chef_environment` in
//! which stage. Everything else is attributes on the node's level, the `id` that Skep writes into its own
//! files too.

use nodes::{Data, Entry, Item, MAX_ITEMS, ParseErrors, Value};

use crate::attributes::{Layer, Level};
use crate::mistakes::Mistakes;
use crate::run_list::{Written, written};

/// The environment that Chef has where none is named.
const NO_ENVIRONMENT: &str = "_default";

/// A DNA file without mistakes.
#[derive(Debug, Clone)]
pub struct Dna {
    /// What runs.
    pub run_list: Vec<Written>,
    /// In which stage.
    pub stage: Option<String>,
    /// What it says of the node.
    pub attributes: Layer,
}

/// Reads the text of a DNA file; `file` is what messages call it.
pub fn parse_dna(file: &str, text: &str) -> Result<Dna, ParseErrors> {
    let (mut mistakes, root) = Mistakes::read(file, text, file)?;
    let dna = read(&mut mistakes, file, root);
    mistakes.into_result(dna)
}

/// Reads attributes of the node's level: a file that is one dict.
pub fn parse_node_attributes(file: &str, text: &str) -> Result<Layer, ParseErrors> {
    let (mut mistakes, value) = Mistakes::read(file, text, file)?;
    let fit = mistakes.any_dict("attributes", &value).is_some();
    let layer = fit.then(|| Layer { level: Level::Node, giver: file.to_owned(), value });
    mistakes.into_result(layer)
}

fn read(mistakes: &mut Mistakes, file: &str, mut root: Value) -> Option<Dna> {
    let source = mistakes.source();
    mistakes.any_dict("a node", &root)?;
    let Data::Map(entries) = &mut root.data else { return None };
    let (list, recipes) = (entries.remove("run_list"), entries.remove("recipes"));
    if let (Some(_), Some(recipes)) = (&list, &recipes) {
        let label = "`run_list` and `recipes` both say what runs; keep `run_list`";
        mistakes.add(recipes.key.clone(), label);
    }
    let environment = entries.remove("chef_environment");
    let stage = environment.and_then(|entry| match entry.value.as_text() {
        Some(NO_ENVIRONMENT) => None,
        Some(text) => Some(text.to_owned()),
        None => {
            mistakes.expected("a string", &entry.value);
            None
        }
    });
    let run_list = match list.or(recipes) {
        None => Vec::new(),
        Some(Entry { value, .. }) => {
            check_items(mistakes, &value);
            written(&value, &source)
        }
    };
    let attributes = Layer { level: Level::Node, giver: file.to_owned(), value: root };
    Some(Dna { run_list, stage, attributes })
}

fn check_items(mistakes: &mut Mistakes, list: &Value) {
    let Data::List(items) = &list.data else {
        mistakes.expected("a list of items such as `recipe[nginx]`", list);
        return;
    };
    if items.len() > MAX_ITEMS {
        mistakes.add(list.origin.span.clone(), format!("more than {MAX_ITEMS} items"));
        return;
    }
    for value in items {
        match value.as_text().map(str::parse::<Item>) {
            Some(Ok(_)) => {}
            Some(Err(error)) => mistakes.add(value.origin.span.clone(), error.message),
            None => mistakes.expected("an item such as `recipe[nginx]`", value),
        }
    }
}
