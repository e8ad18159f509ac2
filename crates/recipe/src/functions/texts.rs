//! `render`: text from a template.

use std::collections::BTreeMap;

use resource::Value as Plain;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;

use crate::complaint::Complaint;
use crate::convert::{from_word, into_word};
use crate::run::run;
use crate::script::caller;

pub(crate) fn add(builder: &mut GlobalsBuilder) {
    functions(builder);
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The text that a template of the cookbook gives; a secret if it reads one.
    fn render<'v>(
        #[starlark(require = pos)] source: &str,
        #[starlark(require = pos)] vars: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let run = run(eval)?;
        let vars = match vars.map(|vars| from_word(&run.secrets, vars)).transpose()? {
            None => Plain::Map(BTreeMap::new()),
            Some(vars @ Plain::Map(_)) => vars,
            Some(other) => {
                let label = format!("`vars` is a dict, not {}", other.what());
                return Err(Complaint::new(label).at_position(1).into());
            }
        };
        let Some(place) = caller(eval) else {
            return Err(Complaint::new("`render` is called in a file").into());
        };
        let cookbook = run.cookbook_of(&place.file)?;
        let rendered = run.templates.render(run, &cookbook, source, vars);
        let rendered = rendered.map_err(|complaint| complaint.at_position(0))?;
        run.record(|reads| reads.extend(&rendered.reads))?;
        Ok(into_word(&run.secrets, eval.heap(), &rendered.text)?)
    }
}
