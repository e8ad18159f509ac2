//! One file of Starlark: parsed, bounded, evaluated.
//!
//! The language is standard Starlark with `if` and `for` at the top of a file, keyword-only
//! parameters and f-strings. Some operators are calls of functions of ours, which refuse what would
//! take all memory in one step; before each statement the bounds of [`crate::limits`] are looked
//! at.

use std::collections::HashMap;

use starlark::ErrorKind;
use starlark::codemap::FileSpanRef;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::{BeforeStmtFunc, BeforeStmtFuncDyn, Evaluator, FileLoader};
use starlark::syntax::ast::{AssignOp, AstStmt, StmtP};
use starlark::syntax::{AstModule, Dialect, DialectTypes};
use starlark::{Error, PrintHandler};

use crate::complaint::Complaint;
use crate::functions::REPLACED;
use crate::library;
use crate::limits::{MAX_CALL_DEPTH, MAX_HEAP_BYTES, MAX_TICKS};
use crate::nesting;
use crate::problem::Problem;
use crate::request::Source;
use crate::run::{Run, run};
use crate::trace::{self, place};

const DIALECT: Dialect = Dialect {
    enable_def: true,
    enable_lambda: true,
    enable_load: true,
    enable_keyword_only_arguments: true,
    enable_positional_only_arguments: true,
    enable_types: DialectTypes::Disable,
    // What a file loads is its own affair; who wants it loads it too.
    enable_load_reexport: false,
    enable_top_level_stmt: true,
    enable_f_strings: true,
    _non_exhaustive: (),
};

/// What a file is evaluated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its resources.
    Recipe,
    /// Its functions and constants.
    Library,
}

/// Evaluates a file; a library gives its module.
pub(crate) fn evaluate(
    run: &Run<'_>,
    source: &Source,
    what: &str,
    role: Role,
) -> Result<Option<FrozenModule>, Problem> {
    let text = source.text();
    let text = text.map_err(|reason| trace::without_place(what, Complaint::new(reason)))?;
    run.in_file(|| evaluate_text(run, source, text, what, role))
}

fn evaluate_text(
    run: &Run<'_>,
    source: &Source,
    text: &str,
    what: &str,
    role: Role,
) -> Result<Option<FrozenModule>, Problem> {
    let trace = trace::Trace { what, run };
    let ast = parse(source, text).map_err(|error| trace.problem(&error))?;
    Module::with_temp_heap(|module| {
        {
            let loader = Loader { run, file: &source.name };
            let printer = Printer(run);
            let mut eval = Evaluator::new(&module);
            eval.extra = Some(run);
            eval.set_loader(&loader);
            eval.set_print_handler(&printer);
            eval.set_check_cancelled(Box::new(|| run.ask_cancelled()));
            eval.before_stmt_for_dap(BeforeStmtFunc::from_dyn(Box::new(Bounds)));
            let bounded = eval
                .set_max_callstack_size(MAX_CALL_DEPTH)
                .and_then(|()| eval.set_max_heap_size(MAX_HEAP_BYTES))
                .and_then(|()| eval.set_max_tick_count(MAX_TICKS));
            bounded.map_err(|error| trace.problem(&error.into()))?;
            eval.eval_module(ast, &run.globals).map_err(|error| trace.problem(&error))?;
        }
        match role {
            Role::Recipe => Ok(None),
            Role::Library => {
                let frozen = module.freeze();
                let frozen = frozen.map_err(|error| trace.problem(&Error::new_other(error)))?;
                Ok(Some(frozen))
            }
        }
    })
}

/// Parses a file and puts functions of ours in the place of operators.
fn parse(source: &Source, text: &str) -> starlark::Result<AstModule> {
    nesting::check(&source.name, text)?;
    let mut ast = AstModule::parse(&source.name, text.to_owned(), &DIALECT)?;
    refuse_multiply_assign(&ast, ast.statement())?;
    let replaced = REPLACED.map(|operator| (operator.to_owned(), operator.to_owned()));
    ast.replace_binary_operators(&HashMap::from(replaced));
    Ok(ast)
}

/// `*=` is the one way to multiply that cannot be replaced.
fn refuse_multiply_assign(ast: &AstModule, statement: &AstStmt) -> starlark::Result<()> {
    if let StmtP::AssignModify(_, AssignOp::Multiply, _) = &statement.node {
        let complaint = Complaint::new("`*=` is not known here; write `x = x * …`");
        let mut error = Error::new_kind(ErrorKind::Native(complaint.into()));
        let span = ast.file_span(statement.span);
        error.set_span(span.span, &span.file);
        return Err(error);
    }
    let mut refused = Ok(());
    statement.visit_stmt(|inner| {
        if refused.is_ok() {
            refused = refuse_multiply_assign(ast, inner);
        }
    });
    refused
}

/// Looks at the bounds before each statement; the interpreter itself does every thousand steps.
struct Bounds;

impl<'e> BeforeStmtFuncDyn<'e> for Bounds {
    fn call<'v>(
        &mut self,
        span: FileSpanRef<'_>,
        _continued: bool,
        eval: &mut Evaluator<'v, '_, 'e>,
    ) -> starlark::Result<()> {
        run(eval)?.step(span)?;
        check_heap(eval)
    }
}

/// Refuses to go on when the heap is full.
pub(crate) fn check_heap(eval: &mut Evaluator<'_, '_, '_>) -> starlark::Result<()> {
    match eval.heap().allocated_bytes() > MAX_HEAP_BYTES {
        true => Err(heap_complaint().into()),
        false => Ok(()),
    }
}

pub(crate) fn heap_complaint() -> Complaint {
    Complaint::limit(format!("values of the recipe take more than {} MiB", MAX_HEAP_BYTES >> 20))
}

struct Loader<'a, 'e> {
    run: &'a Run<'e>,
    file: &'a str,
}

impl FileLoader for Loader<'_, '_> {
    fn load(&self, path: &str) -> starlark::Result<FrozenModule> {
        Ok(library::load(self.run, self.file, path)?)
    }
}

struct Printer<'a, 'e>(&'a Run<'e>);

impl PrintHandler for Printer<'_, '_> {
    fn println(&self, text: &str) -> starlark::Result<()> {
        // Handlers do not know their call; it is in the statement that was begun last.
        self.0.notice(text, self.0.statement().map(|span| place(&span)));
        Ok(())
    }
}

/// Returns where the innermost call of ours was written.
pub(crate) fn caller(eval: &Evaluator<'_, '_, '_>) -> Option<resource::Place> {
    eval.call_stack_top_location().map(|span| place(&span))
}
