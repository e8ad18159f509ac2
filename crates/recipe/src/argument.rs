//! Finds the argument of a call that an error is about.

use starlark::codemap::{FileSpan, Span};
use starlark::syntax::ast::{ArgumentP, AstExpr, ExprP};
use starlark::syntax::{AstModule, Dialect, DialectTypes};

use crate::complaint::Argument;

/// Returns where an argument of the call at `call` is. The file is parsed again: it was right once,
/// and this happens once for an error.
pub(crate) fn find(call: &FileSpan, argument: &Argument) -> Option<FileSpan> {
    let dialect = Dialect { enable_types: DialectTypes::Disable, ..Dialect::AllOptionsInternal };
    let text = call.file.source().to_owned();
    let ast = AstModule::parse(call.file.filename(), text, &dialect).ok()?;
    let mut found = None;
    ast.statement().visit_expr(|inner| in_expression(inner, call.span, argument, &mut found));
    found.map(|span| FileSpan { file: call.file.clone(), span })
}

fn in_expression(expression: &AstExpr, call: Span, argument: &Argument, found: &mut Option<Span>) {
    if found.is_some() || !expression.span.contains(call.begin()) {
        return;
    }
    if let ExprP::Call(_, arguments) = &expression.node
        && expression.span == call
    {
        let mut position = 0;
        for given in &arguments.args {
            let is_it = match (&given.node, argument) {
                (ArgumentP::Named(name, _), Argument::Name(wanted)) => name.node == *wanted,
                (ArgumentP::Positional(_), Argument::Position(wanted)) => {
                    position += 1;
                    position - 1 == *wanted
                }
                _ => false,
            };
            if is_it {
                *found = Some(given.span);
                return;
            }
        }
        return;
    }
    expression.visit_expr(|inner| in_expression(inner, call, argument, found));
}
