//! One evaluation: its state, and what happens to a recipe.
//!
//! The only unsafe code is what starlark's derive writes: that a type is known by its `'static`
//! form.
#![allow(unsafe_code, reason = "the derive of ProvidesStaticType implements an unsafe trait")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use resource::{Declaration, MAX_RESOURCES, Notification, Place, RecipeName, ResourceId, Schema};
use starlark::any::ProvidesStaticType;
use starlark::codemap::{FileSpan, FileSpanRef};
use starlark::environment::{FrozenModule, Globals};
use starlark::eval::Evaluator;

use crate::complaint::Complaint;
use crate::data_recipe;
use crate::evaluated::{Evaluated, Notice, Reads};
use crate::functions;
use crate::limits::{MAX_INCLUDE_DEPTH, MAX_NOTICE_CHARS, MAX_NOTICES, MAX_STATEMENTS};
use crate::problem::{Cause, Problem};
use crate::request::{Request, Source};
use crate::script::{self, Role};
use crate::secret::{Secrets, redact};
use crate::template::Templates;

/// One evaluation. Every interpreter of it has a reference to it.
#[derive(ProvidesStaticType)]
pub(crate) struct Run<'e> {
    pub(crate) request: Request<'e>,
    pub(crate) secrets: Secrets,
    pub(crate) templates: Templates,
    pub(crate) globals: Globals,
    /// Loaded files, by cookbook and path; none while it is being loaded.
    pub(crate) loaded: RefCell<HashMap<(String, String), Option<FrozenModule>>>,
    /// Which cookbook a file belongs to, by the name that messages use.
    cookbooks: RefCell<HashMap<String, Rc<str>>>,
    cancelled: Cell<bool>,
    statements: Cell<u64>,
    statement: RefCell<Option<FileSpan>>,
    depth: Cell<usize>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    evaluated: Evaluated,
    begun: BTreeSet<RecipeName>,
    /// The recipes that are being evaluated, the innermost last.
    current: Vec<RecipeName>,
    known: HashSet<ResourceId>,
    /// What is added to declarations at the end: `subscribes`.
    subscriptions: BTreeMap<ResourceId, Vec<Notification>>,
}

/// Returns the evaluation that an interpreter belongs to.
pub(crate) fn run<'a, 'e>(eval: &Evaluator<'_, 'a, 'e>) -> Result<&'a Run<'e>, Complaint> {
    let run = eval.extra.and_then(|extra| extra.downcast_ref::<Run<'e>>());
    run.ok_or_else(|| Complaint { cause: Cause::Internal, ..Complaint::new("no evaluation") })
}

impl<'e> Run<'e> {
    pub(crate) fn new(request: Request<'e>) -> Self {
        Self {
            request,
            secrets: Secrets::default(),
            templates: Templates::default(),
            globals: functions::globals(request.schemas),
            loaded: RefCell::default(),
            cookbooks: RefCell::default(),
            cancelled: Cell::new(false),
            statements: Cell::new(0),
            statement: RefCell::default(),
            depth: Cell::new(0),
            state: RefCell::default(),
        }
    }

    /// Evaluates all recipes of the run list.
    pub(crate) fn evaluate(self) -> Result<Evaluated, Problem> {
        for recipe in self.request.recipes {
            self.recipe(recipe).map_err(|failure| match failure {
                Failed::Missing(complaint) => Problem {
                    what: format!("recipe `{recipe}`"),
                    cause: complaint.cause,
                    reasons: vec![complaint.label],
                    excerpts: Vec::new(),
                    hints: complaint.hints,
                },
                Failed::Within(problem) => problem,
            })?;
        }
        let State { mut evaluated, subscriptions, .. } = self.state.into_inner();
        for declaration in &mut evaluated.declarations {
            if let Some(notifications) = subscriptions.get(&declaration.id) {
                declaration.notifies.extend(notifications.iter().cloned());
            }
        }
        Ok(evaluated)
    }

    /// Evaluates a recipe, unless it was.
    pub(crate) fn recipe(&self, recipe: &RecipeName) -> Result<(), Failed> {
        if !self.state.borrow_mut().begun.insert(recipe.clone()) {
            return Ok(());
        }
        if self.ask_cancelled() {
            let complaint = Complaint::new("told to end");
            return Err(Failed::Missing(Complaint { cause: Cause::Cancelled, ..complaint }));
        }
        self.deeper(|| {
            let (source, form) = self.find_recipe(recipe)?;
            {
                let mut state = self.state.borrow_mut();
                state.evaluated.recipes.push(recipe.clone());
                state.current.push(recipe.clone());
            }
            let what = format!("recipe `{recipe}`");
            let done = match form {
                Form::Starlark => script::evaluate(self, &source, &what, Role::Recipe).map(|_| ()),
                Form::Data => data_recipe::evaluate(self, &source, &what),
            };
            self.state.borrow_mut().current.pop();
            done.map_err(Failed::Within)
        })
    }

    /// Goes one file deeper, within bounds.
    pub(crate) fn deeper<T>(
        &self,
        within: impl FnOnce() -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        if self.depth.get() >= MAX_INCLUDE_DEPTH {
            let label = format!("recipes and libraries nest deeper than {MAX_INCLUDE_DEPTH} files");
            return Err(Failed::Missing(Complaint::limit(label)));
        }
        self.depth.set(self.depth.get() + 1);
        let done = within();
        self.depth.set(self.depth.get() - 1);
        done
    }

    /// Does something that no recipe is blamed for.
    pub(crate) fn apart<T>(&self, within: impl FnOnce() -> T) -> T {
        let current = std::mem::take(&mut self.state.borrow_mut().current);
        let done = within();
        self.state.borrow_mut().current = current;
        done
    }

    fn find_recipe(&self, recipe: &RecipeName) -> Result<(Source, Form), Failed> {
        let RecipeName { cookbook, recipe: name } = recipe;
        for (extension, form) in [("star", Form::Starlark), ("toml", Form::Data)] {
            let path = format!("recipes/{name}.{extension}");
            if let Some(source) = self.read(cookbook, &path).map_err(Failed::Missing)? {
                return Ok((source, form));
            }
        }
        let cookbooks = self.request.sources.cookbooks();
        if !cookbooks.contains(cookbook) {
            return Err(Failed::Missing(Complaint::missing("cookbook", cookbook, "", &cookbooks)));
        }
        let files = self.request.sources.list(cookbook, "recipes").map_err(Complaint::from);
        let mut known: Vec<String> = Vec::new();
        for file in files.map_err(Failed::Missing)? {
            let stem = file.strip_prefix("recipes/").and_then(|file| file.rsplit_once('.'));
            known.extend(stem.map(|(stem, _)| format!("{cookbook}::{stem}")));
        }
        Err(Failed::Missing(Complaint::missing("recipe", &recipe.to_string(), "", &known)))
    }

    /// Reads a file of a cookbook and remembers whose it is.
    pub(crate) fn read(&self, cookbook: &str, path: &str) -> Result<Option<Source>, Complaint> {
        let source = self.request.sources.read(cookbook, path)?;
        if let Some(source) = &source {
            self.cookbooks.borrow_mut().insert(source.name.clone(), cookbook.into());
        }
        Ok(source)
    }

    /// Returns the cookbook of a file that was read.
    pub(crate) fn cookbook_of(&self, file: &str) -> Result<Rc<str>, Complaint> {
        let cookbook = self.cookbooks.borrow().get(file).cloned();
        cookbook.ok_or_else(|| Complaint::new("this can only be called in a file of a cookbook"))
    }

    pub(crate) fn schema(&self, kind: &str) -> Option<&'static Schema> {
        self.request.schemas.iter().copied().find(|schema| schema.kind == kind)
    }

    /// Returns the recipe that owns what is declared now.
    pub(crate) fn recipe_now(&self) -> Result<RecipeName, Complaint> {
        self.state.borrow().current.last().cloned().ok_or_else(|| {
            Complaint::new("a file that is loaded can define, and not declare or read")
                .hint("put it into a function, which recipes call")
        })
    }

    /// Takes a declaration that fits its schema.
    pub(crate) fn declare(
        &self,
        declaration: Declaration,
        template: Option<Reads>,
    ) -> Result<(), Complaint> {
        let mut state = self.state.borrow_mut();
        if state.evaluated.declarations.len() >= MAX_RESOURCES {
            return Err(Complaint::limit(format!("more than {MAX_RESOURCES} resources")));
        }
        if let Some(reads) = template.filter(|reads| !reads.is_empty()) {
            let known = state.evaluated.template_reads.entry(declaration.id.clone());
            known.or_default().extend(&reads);
        }
        state.known.insert(declaration.id.clone());
        state.evaluated.declarations.push(declaration);
        Ok(())
    }

    /// Adds a notification to whatever is declared under an id.
    pub(crate) fn subscribe(&self, id: ResourceId, notification: Notification) {
        self.state.borrow_mut().subscriptions.entry(id).or_default().push(notification);
    }

    /// Returns whether a resource was declared.
    pub(crate) fn is_declared(&self, id: &ResourceId) -> bool {
        self.state.borrow().known.contains(id)
    }

    /// Returns the names of declared resources of a kind.
    pub(crate) fn declared(&self, kind: &str) -> Vec<String> {
        let state = self.state.borrow();
        let ids = state.known.iter().filter(|id| id.kind == kind);
        ids.map(|id| id.name.clone()).collect()
    }

    /// Records what the current recipe's code reads.
    pub(crate) fn record<T>(&self, add: impl FnOnce(&mut Reads) -> T) -> Result<(), Complaint> {
        let recipe = self.recipe_now()?;
        add(self.state.borrow_mut().evaluated.reads.entry(recipe).or_default());
        Ok(())
    }

    /// Takes a line that a recipe prints.
    pub(crate) fn notice(&self, text: &str, place: Option<Place>) {
        let evaluated = &mut self.state.borrow_mut().evaluated;
        if evaluated.notices.len() >= MAX_NOTICES {
            evaluated.notices_omitted += 1;
            return;
        }
        let text = redact(text).chars().take(MAX_NOTICE_CHARS).collect();
        evaluated.notices.push(Notice { text, place });
    }

    /// Does what belongs to one file: the statement that was begun in another is none of it.
    pub(crate) fn in_file<T>(&self, within: impl FnOnce() -> T) -> T {
        let before = self.statement.take();
        let done = within();
        self.statement.replace(before);
        done
    }

    /// Returns the statement that was begun last.
    pub(crate) fn statement(&self) -> Option<FileSpan> {
        self.statement.borrow().clone()
    }

    /// Counts a statement that begins.
    pub(crate) fn step(&self, span: FileSpanRef<'_>) -> Result<(), Complaint> {
        self.statement.replace(Some(span.to_file_span()));
        let count = self.statements.get() + 1;
        self.statements.set(count);
        match count > MAX_STATEMENTS {
            true => {
                Err(Complaint::limit(format!("more than {MAX_STATEMENTS} statements were run")))
            }
            false => Ok(()),
        }
    }

    /// Asks whether to end.
    pub(crate) fn ask_cancelled(&self) -> bool {
        let cancelled = (self.request.cancelled)();
        self.cancelled.set(self.cancelled.get() || cancelled);
        cancelled
    }

    pub(crate) fn was_cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

/// Why a recipe or a library gave nothing.
pub(crate) enum Failed {
    /// There is no such file, or it cannot be had: whoever wants it is to blame.
    Missing(Complaint),
    /// Something in it is wrong.
    Within(Problem),
}

impl Failed {
    /// Returns the complaint of the call that wanted the file.
    pub(crate) fn complaint(self, label: &str) -> Complaint {
        match self {
            Self::Missing(complaint) => complaint,
            Self::Within(problem) => Complaint::within(label, problem),
        }
    }
}

/// What a recipe is written in.
enum Form {
    Starlark,
    Data,
}
