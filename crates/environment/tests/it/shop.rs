//! An app to construct environments for.

use std::collections::BTreeMap;
use std::path::Path;

use app::Layout;
use app::model::{App, Command, Variable};
use environment::{Base, Generated, Inputs, Purpose, Slot, Variables};

/// Returns a command with words `NAME=value` before it.
pub(crate) fn command(assignments: &[(&str, &str)]) -> Command {
    Command {
        text: "gunicorn shop.wsgi".to_owned(),
        words: vec!["gunicorn".to_owned(), "shop.wsgi".to_owned()],
        assignments: assignments.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        shell: None,
    }
}

/// Returns an app with the gunicorn service `web` and nothing declared.
pub(crate) fn app() -> App {
    let text = "app = \"shop\"\n[services.web]\ncommand = \"gunicorn shop.wsgi\"\n";
    app::parse("skep.toml", text, &Layout::new("shop")).unwrap()
}

/// Returns a declared default.
pub(crate) fn default(value: &str) -> Variable {
    Variable { value: Some(value.to_owned()), ..Variable::default() }
}

/// Everything but the app and the purpose.
#[derive(Default)]
pub(crate) struct Rest {
    pub(crate) generated: BTreeMap<String, Generated>,
    pub(crate) operator: Variables,
}

impl Rest {
    pub(crate) fn inputs<'a>(&'a self, app: &'a App, purpose: Purpose<'a>) -> Inputs<'a> {
        Inputs {
            app,
            purpose,
            release: Some(14),
            base: Base {
                user: "skep-shop",
                home: Path::new("/h/apps/shop/home"),
                python: Some(Path::new("/h/artifacts/shop/1/environment")),
            },
            generated: &self.generated,
            operator: &self.operator,
        }
    }
}

/// Returns slot 0 of `web`.
pub(crate) fn web_slot() -> Purpose<'static> {
    let slot = Slot { number: 0, port: Some("8123"), runtime: Some(Path::new("/r/0")) };
    Purpose::Service { name: "web", slot }
}
