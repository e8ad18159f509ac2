//! Cookbooks in memory and a node that is made up.

use std::collections::BTreeMap;

use recipe::{Cause, Evaluated, LookupError, Node, Problem, Request, Source, Sources, evaluate};
use report::{Failure, Secret};
use resource::{Action, Properties, Property, RecipeName, Relations, Schema, Shape, Thing, Value};

const fn property(name: &'static str, shape: Shape) -> Property {
    Property { name, shape, required: false, secret: false, text: "" }
}

const fn action(name: &'static str) -> Action {
    Action { name, text: "" }
}

const fn schema(
    kind: &'static str,
    named: &'static str,
    actions: &'static [Action],
    properties: &'static [Property],
) -> Schema {
    let relations = |_: &resource::Declaration| Relations { provides: vec![], needs: vec![] };
    Schema { kind, summary: "", idempotence: "", undo: "", named, actions, properties, relations }
}

const CONTENT: &[Property] = &[
    Property { required: true, ..property("path", Shape::Path) },
    Property { secret: true, ..property("content", Shape::Content) },
    property("mode", Shape::Mode),
    property("owner", Shape::Text),
];

static FILE: Schema = Schema {
    relations: |file| Relations {
        provides: vec![Thing::Path(Properties(file).named(&FILE).into())],
        needs: vec![],
    },
    ..schema("file", "path", &[action("create"), action("delete")], CONTENT)
};
const RENDERED: &[Property] = &[
    CONTENT[0],
    CONTENT[1],
    CONTENT[2],
    property("source", Shape::Text),
    property("attributes", Shape::ListOf(&Shape::Text)),
];

static TEMPLATE: Schema =
    schema("template", "path", &[action("create"), action("delete")], RENDERED);
static PACKAGE: Schema = schema(
    "package",
    "names",
    &[action("install"), action("remove")],
    &[
        Property { required: true, ..property("names", Shape::ListOf(&Shape::Text)) },
        property("version", Shape::Text),
    ],
);
static SYSTEM_SERVICE: Schema = schema(
    "system_service",
    "service",
    &[action("start"), action("stop"), action("restart"), action("reload")],
    &[Property { required: true, ..property("service", Shape::Text) }],
);
static EXECUTE: Schema = schema(
    "execute",
    "command",
    &[action("run")],
    &[
        Property { required: true, ..property("command", Shape::ListOf(&Shape::Text)) },
        Property { secret: true, ..property("env", Shape::MapOf(&Shape::Text)) },
    ],
);
static ANYTHING: Schema = schema(
    "anything",
    "name",
    &[action("keep")],
    &[
        Property { required: true, ..property("name", Shape::Text) },
        Property { secret: true, ..property("value", Shape::Any) },
    ],
);
static USER: Schema = schema(
    "user",
    "user",
    &[action("create")],
    &[Property { required: true, ..property("user", Shape::Text) }],
);

pub(crate) static SCHEMAS: &[&Schema] =
    &[&FILE, &TEMPLATE, &PACKAGE, &SYSTEM_SERVICE, &EXECUTE, &ANYTHING, &USER];

/// Cookbooks and a node.
pub(crate) struct Scene {
    files: BTreeMap<String, Vec<u8>>,
    pub(crate) attributes: Value,
    run_list: Vec<RecipeName>,
    pub(crate) cancelled: bool,
}

impl Scene {
    /// Returns a scene with one recipe, `web::default`.
    pub(crate) fn of(recipe: &str) -> Self {
        let attributes = serde_json::json!({
            "nginx": { "port": 80, "hosts": ["a.example", "b.example"], "tls": { "on": true } },
            "greeting": "hello",
        });
        let scene = Self {
            files: BTreeMap::new(),
            attributes: Value::from_json(attributes).unwrap(),
            run_list: vec![RecipeName::new("web", "default")],
            cancelled: false,
        };
        scene.file("web/recipes/default.star", recipe)
    }

    /// Adds a file below `cookbooks/`.
    pub(crate) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.to_owned(), content.as_ref().to_vec());
        self
    }

    /// Sets the run list.
    pub(crate) fn run_list(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| name.split_once("::").unwrap());
        self.run_list = names.map(|(cookbook, name)| RecipeName::new(cookbook, name)).collect();
        self
    }

    pub(crate) fn evaluate(&self) -> Result<Evaluated, Problem> {
        let cancelled = || self.cancelled;
        evaluate(&Request {
            recipes: &self.run_list,
            schemas: SCHEMAS,
            sources: self,
            node: self,
            cancelled: &cancelled,
        })
    }

    /// Evaluates what is right.
    pub(crate) fn right(&self) -> Evaluated {
        self.evaluate().unwrap_or_else(|problem| panic!("{}", Failure::from(problem)))
    }

    /// Returns the declarations, one line each.
    pub(crate) fn declared(&self) -> String {
        let lines: Vec<String> = self.right().declarations.iter().map(shown).collect();
        lines.join("\n")
    }

    /// Returns how what is wrong is told.
    pub(crate) fn wrong(&self) -> String {
        match self.evaluate() {
            Ok(evaluated) => panic!("nothing is wrong: {:?}", evaluated.declarations),
            Err(problem) => Failure::from(problem).to_string(),
        }
    }
}

/// Returns the one value that `anything("x", value = …)` of a recipe keeps.
pub(crate) fn value_of(expression: &str) -> Value {
    Scene::of(&format!("anything(\"x\", value = {expression})")).value()
}

impl Scene {
    pub(crate) fn value(&self) -> Value {
        let evaluated = self.right();
        evaluated.declarations[0].properties.get("value").cloned().unwrap_or_default()
    }
}

fn shown(declaration: &resource::Declaration) -> String {
    let mut words = vec![format!("{} {}", declaration.action, declaration.id)];
    let properties = declaration.properties.iter();
    words.extend(properties.map(|(name, value)| format!("{name}={value:?}")));
    for guard in &declaration.guards {
        let word = if guard.wanted { "only_if" } else { "not_if" };
        words.push(format!("{word} {:?}", guard.condition));
    }
    words.extend(declaration.after.iter().map(|after| format!("after {after}")));
    for resource::Notification { action, target, timing } in &declaration.notifies {
        words.push(format!("notifies {action} {target} {timing:?}"));
    }
    words.extend(declaration.user.iter().map(|user| format!("user={user}")));
    if declaration.retries > 0 || declaration.retry_delay_ms > 0 {
        words.push(format!("retries={}/{}ms", declaration.retries, declaration.retry_delay_ms));
    }
    words.extend(declaration.timeout_ms.map(|ms| format!("timeout={ms}ms")));
    words.extend(declaration.ignore_failure.then(|| "ignore_failure".to_owned()));
    words.extend(declaration.sensitive.then(|| "sensitive".to_owned()));
    let places: Vec<String> = declaration.places.iter().map(ToString::to_string).collect();
    words.push(format!("of {} at {}", declaration.recipe, places.join(" < ")));
    words.join(" ").replace("cookbooks/", "")
}

impl Sources for Scene {
    fn read(&self, cookbook: &str, path: &str) -> Result<Option<Source>, LookupError> {
        if cookbook == "unreachable" {
            let message = "failed to read cookbook `unreachable`: the disk is gone".to_owned();
            return Err(LookupError {
                cause: Cause::Unavailable,
                message,
                hints: vec!["skep doctor".to_owned()],
            });
        }
        let bytes = self.files.get(&format!("{cookbook}/{path}"));
        let name = format!("cookbooks/{cookbook}/{path}");
        Ok(bytes.map(|bytes| Source { name, bytes: bytes.as_slice().into() }))
    }

    fn list(&self, cookbook: &str, directory: &str) -> Result<Vec<String>, LookupError> {
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&format!("{cookbook}/")));
        Ok(below.filter(|path| path.starts_with(directory)).map(str::to_owned).collect())
    }

    fn cookbooks(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files.keys().filter_map(|path| Some(path.split_once('/')?.0.to_owned())).collect();
        names.dedup();
        names
    }
}

impl Node for Scene {
    fn attributes(&self) -> &Value {
        &self.attributes
    }

    fn fact(&self, name: &str) -> Result<Option<Value>, LookupError> {
        Ok(match name {
            "os.codename" => Some(Value::text("trixie")),
            "memory.total_bytes" => Some(Value::Integer(8 << 30)),
            _ => None,
        })
    }

    fn facts(&self) -> Vec<String> {
        vec!["os.codename".to_owned(), "memory.total_bytes".to_owned()]
    }

    fn data_bag_item(&self, bag: &str, id: &str) -> Result<Option<Value>, LookupError> {
        let item = [
            ("id".to_owned(), Value::text("shop")),
            ("repository".to_owned(), Value::text("git@example:shop")),
            ("deploy_key".to_owned(), Value::Secret(Secret::new("key \"k1\""))),
        ];
        match (bag, id) {
            ("codebases", "shop") => Ok(Some(Value::Map(item.into()))),
            ("codebases", "sealed") => Err(LookupError {
                cause: Cause::Unavailable,
                message: "failed to decrypt `data_bags/codebases/sealed.json`: no key fits".into(),
                hints: vec!["skep data:keys".to_owned()],
            }),
            _ => Ok(None),
        }
    }

    fn data_bag_ids(&self, bag: &str) -> Vec<String> {
        if bag == "codebases" { vec!["shop".into(), "sealed".into()] } else { Vec::new() }
    }

    fn data_bags(&self) -> Vec<String> {
        vec!["codebases".to_owned()]
    }

    fn env_of(&self, app: &str, key: &str) -> Result<Option<Secret>, LookupError> {
        Ok((app == "shop" && key == "DATABASE_URL")
            .then(|| Secret::new("postgres://u:hunter2@db/x")))
    }

    fn services(&self, service: &str) -> Result<Vec<Value>, LookupError> {
        let endpoint = |port: i64| {
            let members = [
                ("address".to_owned(), Value::text("10.0.0.1")),
                ("port".to_owned(), Value::Integer(port)),
            ];
            Value::Map(members.into())
        };
        Ok(if service == "shop/api" { vec![endpoint(1), endpoint(2)] } else { Vec::new() })
    }
}
