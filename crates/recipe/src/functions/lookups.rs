//! What recipes read of the node: attributes, facts, data bags, variables, services. Every read is
//! recorded.

use resource::ResourceId;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list::AllocList;
use starlark::values::none::NoneType;

use crate::attribute;
use crate::complaint::Complaint;
use crate::convert::{into_struct, into_word};
use crate::functions::handle::Handle;
use crate::functions::secret_word::SecretWord;
use crate::item;
use crate::run::run;
use crate::secret::plain;

pub(crate) fn add(builder: &mut GlobalsBuilder) {
    functions(builder);
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// An attribute by its path, `nginx.port`; `default` if there is none.
    fn attr<'v>(
        #[starlark(require = pos)] path: &str,
        #[starlark(require = pos)] default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let run = run(eval)?;
        let path = plain("a path", path)?;
        run.record(|reads| reads.attributes.insert(path.to_owned()))?;
        match (attribute::find(run.request.node.attributes(), path), default) {
            (Ok(value), _) => Ok(into_word(&run.secrets, eval.heap(), value)?),
            (Err(_), Some(default)) => Ok(default),
            (Err(complaint), None) => Err(complaint
                .hint(format!("`attr(\"{path}\", default)` if it may be missing"))
                .at_position(0)
                .into()),
        }
    }

    /// A fact of the machine by its name, `os.codename`.
    fn fact<'v>(
        #[starlark(require = pos)] name: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let run = run(eval)?;
        run.record(|reads| reads.facts.insert(name.to_owned()))?;
        if let Some(value) = run.request.node.fact(name).map_err(Complaint::from)? {
            return Ok(into_word(&run.secrets, eval.heap(), &value)?);
        }
        let known = run.request.node.facts();
        Err(Complaint::missing("fact", name, "", &known).at_position(0).into())
    }

    /// An item of a data bag.
    fn data_bag_item<'v>(
        #[starlark(require = pos)] bag: &str,
        #[starlark(require = pos)] id: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let run = run(eval)?;
        let node = run.request.node;
        run.record(|reads| reads.data_bag_items.insert((bag.to_owned(), id.to_owned())))?;
        if let Some(item) = node.data_bag_item(bag, id).map_err(Complaint::from)? {
            return Ok(into_word(&run.secrets, eval.heap(), &item)?);
        }
        let bags = node.data_bags();
        if !bags.iter().any(|known| known == bag) {
            return Err(Complaint::missing("data bag", bag, "", &bags).at_position(0).into());
        }
        let (whereabouts, known) = (format!("in data bag `{bag}`"), node.data_bag_ids(bag));
        Err(Complaint::missing("item", id, &whereabouts, &known).at_position(1).into())
    }

    /// A variable of an app's environment: a secret.
    fn env_of<'v>(
        #[starlark(require = pos)] app: &str,
        #[starlark(require = pos)] key: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<SecretWord> {
        let run = run(eval)?;
        run.record(|reads| reads.env.insert((app.to_owned(), key.to_owned())))?;
        match run.request.node.env_of(app, key).map_err(Complaint::from)? {
            Some(secret) => Ok(SecretWord::new(run.secrets.mark(&secret))),
            None => Err(Complaint::new(format!("app `{app}` has no variable `{key}`"))
                .at_position(1)
                .hint(format!("set it: skep env:set {app} {key}"))
                .into()),
        }
    }

    /// What is registered for a service: a list of structs.
    fn services<'v>(
        #[starlark(require = pos)] service: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let run = run(eval)?;
        let parts = service.split_once('/');
        if !parts.is_some_and(|(app, name)| !app.is_empty() && !name.is_empty()) {
            let label = format!("`{service}` is no service; write `app/service`");
            return Err(Complaint::new(label).at_position(0).into());
        }
        run.record(|reads| reads.services.insert(service.to_owned()))?;
        let found = run.request.node.services(service).map_err(Complaint::from)?;
        let endpoints = found.iter().map(|one| into_struct(&run.secrets, eval.heap(), one));
        Ok(eval.heap().alloc(AllocList(endpoints.collect::<Result<Vec<_>, _>>()?)))
    }

    /// A resource that was declared before, wherever that was.
    fn declared<'v>(
        #[starlark(require = pos)] kind: &str,
        #[starlark(require = pos)] name: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Handle> {
        let run = run(eval)?;
        let id = ResourceId::new(kind, name);
        if run.is_declared(&id) {
            return Ok(Handle::new(id));
        }
        let (what, known) = (format!("`{kind}`"), run.declared(kind));
        Err(Complaint::missing(&what, name, "was declared yet", &known).at_position(1).into())
    }

    /// Evaluates another recipe, unless it was; what it declares is its own.
    fn include_recipe<'v>(
        #[starlark(require = pos)] recipe: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let run = run(eval)?;
        run.recipe_now()?;
        let Some(name) = item::recipe(recipe) else {
            let label = format!("`{recipe}` is no recipe; write `cookbook::name`");
            return Err(Complaint::new(label).at_position(0).into());
        };
        match run.recipe(&name) {
            Ok(()) => Ok(NoneType),
            Err(failed) => Err(failed.complaint("included here").into()),
        }
    }
}
