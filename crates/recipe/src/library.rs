//! `load`: functions and constants of other files.
//!
//! `"//nginx/lib.star"` is a file of the cookbook `nginx`, `":lib.star"` one of the own cookbook. A
//! file is evaluated once; while it is, it may define, not declare: whose would a resource be?

use starlark::environment::FrozenModule;

use crate::complaint::Complaint;
use crate::run::{Failed, Run};
use crate::script::{self, Role};

/// What names of files in the language end with.
const EXTENSION: &str = ".star";

/// Returns the module of a file that another file loads.
pub(crate) fn load(run: &Run<'_>, from: &str, path: &str) -> Result<FrozenModule, Complaint> {
    let own = run.cookbook_of(from)?;
    let (cookbook, file) = parse(&own, path)?;
    let key = (cookbook.to_owned(), file.to_owned());
    match run.loaded.borrow().get(&key) {
        Some(Some(module)) => return Ok(module.clone()),
        Some(None) => return Err(Complaint::new("files load each other in a circle")),
        None => {}
    }
    run.loaded.borrow_mut().insert(key.clone(), None);
    let loaded = run.deeper(|| evaluate(run, cookbook, file));
    match loaded {
        Ok(module) => {
            run.loaded.borrow_mut().insert(key, Some(module.clone()));
            Ok(module)
        }
        Err(failed) => Err(failed.complaint("loaded here")),
    }
}

fn evaluate(run: &Run<'_>, cookbook: &str, file: &str) -> Result<FrozenModule, Failed> {
    let Some(source) = run.read(cookbook, file).map_err(Failed::Missing)? else {
        let cookbooks = run.request.sources.cookbooks();
        if !cookbooks.iter().any(|known| known == cookbook) {
            return Err(Failed::Missing(Complaint::missing("cookbook", cookbook, "", &cookbooks)));
        }
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        let files = run.request.sources.list(cookbook, directory).map_err(Complaint::from);
        let mut files = files.map_err(Failed::Missing)?;
        files.retain(|file| file.strip_suffix(EXTENSION).is_some());
        let whereabouts = format!("in cookbook `{cookbook}`");
        let complaint = Complaint::missing("file", file, &whereabouts, &files);
        return Err(Failed::Missing(complaint));
    };
    let module = run.apart(|| {
        let what = format!("`{}`", source.name);
        script::evaluate(run, &source, &what, Role::Library)
    });
    match module.map_err(Failed::Within)? {
        Some(module) => Ok(module),
        None => Err(Failed::Missing(Complaint::new("the file has no module"))),
    }
}

/// Splits what `load` was given.
fn parse<'p>(own: &'p str, path: &'p str) -> Result<(&'p str, &'p str), Complaint> {
    let parts = match path.strip_prefix("//") {
        Some(rest) => rest.split_once('/'),
        None => path.strip_prefix(':').map(|file| (own, file)),
    };
    parts.filter(|(cookbook, file)| !cookbook.is_empty() && is_library(file)).ok_or_else(|| {
        Complaint::new(format!("`{path}` is no file that can be loaded"))
            .hint("write `//cookbook/lib.star`, or `:lib.star` for a file of the own cookbook")
    })
}

fn is_library(file: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    file.strip_suffix(EXTENSION).is_some()
        && file.split('/').all(plain)
        && !file.contains(['\\', '\0'])
}
