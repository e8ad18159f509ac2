//! Templates: Jinja as Python people know it.
//!
//! What is not defined is an error, nothing is escaped, the last line end is kept, includes stay
//! within the cookbook. A template sees `vars` by their names and the node's attributes as `node`;
//! which of those it reads is recorded. A template that reads a secret gives a secret, whatever it
//! made of it.

mod error;
mod filters;
mod view;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use report::Secret;
use resource::Value;

use crate::complaint::Complaint;
use crate::evaluated::Reads;
use crate::files;
use crate::limits::{MAX_RENDERED_BYTES, MAX_TEMPLATE_DEPTH, TEMPLATE_FUEL};
use crate::run::Run;
use crate::secret::redact_texts;
use view::Tracker;

/// The directory of a cookbook that has its templates.
const DIRECTORY: &str = "templates";

/// The parsed templates of an evaluation, by cookbook.
#[derive(Default)]
pub(crate) struct Templates {
    cookbooks: RefCell<HashMap<String, Rc<Cookbook>>>,
    attributes: OnceCell<Arc<Value>>,
}

/// What a template gave.
pub(crate) struct Rendered {
    pub(crate) text: Value,
    pub(crate) reads: Reads,
}

struct Cookbook {
    environment: Environment<'static>,
    /// Texts by path, and the name that messages use.
    files: Arc<BTreeMap<String, File>>,
    attributes: Arc<Value>,
}

/// A template, or why it is none.
struct File {
    name: String,
    text: Result<String, String>,
}

impl Templates {
    pub(crate) fn render(
        &self,
        run: &Run<'_>,
        cookbook: &str,
        source: &str,
        vars: Value,
    ) -> Result<Rendered, Complaint> {
        let path = files::path(DIRECTORY, source)?;
        let cookbook = self.cookbook(run, cookbook)?;
        if !cookbook.files.contains_key(&path) {
            let known: Vec<String> = cookbook.files.keys().cloned().collect();
            return Err(Complaint::missing("template", &path, "", &known));
        }
        let tracker = Arc::new(Tracker::default());
        let names: Vec<String> = match &vars {
            Value::Map(vars) => vars.keys().cloned().chain([view::NODE.to_owned()]).collect(),
            _ => Vec::new(),
        };
        let context = view::context(&tracker, &cookbook.attributes, vars)?;
        let mut output = Bounded(Vec::new());
        let template = cookbook.environment.get_template(&path);
        let done = template
            .and_then(|template| template.render_captured_to(context, &mut output).map(drop));
        done.map_err(|failure| error::complaint(&failure, &cookbook, &tracker, &names))?;
        let text = String::from_utf8(output.0);
        let text = text.map_err(|_| Complaint::new(format!("`{path}` gives no UTF-8")))?;
        // A path can be made of a secret: `node[password]`.
        let secrets = tracker.secrets();
        let attributes = tracker.attributes();
        let attributes = attributes.iter().map(|path| redact_texts(path, &secrets)).collect();
        let text = match tracker.read_a_secret() {
            true => Value::Secret(Secret::new(text)),
            false => Value::text(text),
        };
        Ok(Rendered { text, reads: Reads { attributes, ..Reads::default() } })
    }

    fn cookbook(&self, run: &Run<'_>, name: &str) -> Result<Rc<Cookbook>, Complaint> {
        if let Some(known) = self.cookbooks.borrow().get(name) {
            return Ok(known.clone());
        }
        let mut files = BTreeMap::new();
        for path in run.request.sources.list(name, DIRECTORY)? {
            let Some(source) = run.read(name, &path)? else { continue };
            let text = source.text().map(str::to_owned);
            files.insert(path, File { name: source.name, text });
        }
        let files = Arc::new(files);
        let attributes =
            self.attributes.get_or_init(|| Arc::new(run.request.node.attributes().clone())).clone();
        let environment = environment(&files);
        let cookbook = Rc::new(Cookbook { environment, files, attributes });
        self.cookbooks.borrow_mut().insert(name.to_owned(), cookbook.clone());
        Ok(cookbook)
    }
}

fn environment(files: &Arc<BTreeMap<String, File>>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment.set_recursion_limit(MAX_TEMPLATE_DEPTH);
    // Errors know their place only then.
    environment.set_debug(true);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    filters::add(&mut environment);
    // `{% include "x.j2" %}` is beside what is rendered: below `templates`.
    environment.set_path_join_callback(|name, _parent| match files::path(DIRECTORY, name) {
        Ok(path) => path.into(),
        Err(_) => name.to_owned().into(),
    });
    let files = files.clone();
    environment.set_loader(move |path| match files.get(path).map(|file| &file.text) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.clone())),
        Some(Err(reason)) => Err(Error::new(ErrorKind::InvalidOperation, reason.clone())),
    });
    environment
}

/// Takes what a template writes, up to a bound.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RENDERED_BYTES {
            return Err(std::io::Error::other(error::TOO_LONG));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
