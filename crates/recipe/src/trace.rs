//! From the interpreter's errors to the user's lines.

use report::{Excerpt, SourceText};
use resource::Place;
use starlark::codemap::FileSpan;
use starlark::{Error, ErrorKind};

use crate::argument;
use crate::complaint::Complaint;
use crate::limits::{MAX_CALL_DEPTH, MAX_PLACES_SHOWN, MAX_TICKS};
use crate::problem::{Cause, Problem};
use crate::run::Run;
use crate::script::heap_complaint;
use crate::secret::redact;

/// Makes problems of the errors of one file.
pub(crate) struct Trace<'a, 'e> {
    /// What is evaluated.
    pub(crate) what: &'a str,
    pub(crate) run: &'a Run<'e>,
}

impl Trace<'_, '_> {
    pub(crate) fn problem(&self, error: &Error) -> Problem {
        let complaint = complaint(error.kind());
        let mut problem = Problem {
            what: self.what.to_owned(),
            cause: complaint.map_or(Cause::Invalid, |complaint| complaint.cause),
            reasons: Vec::new(),
            excerpts: Vec::new(),
            hints: Vec::new(),
        };
        let mut label = match complaint {
            Some(complaint) => complaint.label.clone(),
            None => said(error),
        };
        if let Some(limit) = limit(error.kind(), &label) {
            (problem.cause, label) = (Cause::Limit, limit.label);
            problem.hints = limit.hints;
        }
        if self.run.was_cancelled() {
            (problem.cause, label) = (Cause::Cancelled, "told to end".to_owned());
        }
        if let Some(complaint) = complaint {
            problem.hints.extend(complaint.hints.iter().map(|hint| redact(hint)));
            if let Some(within) = &complaint.within {
                problem.reasons.extend(within.reasons.iter().cloned());
                problem.excerpts.extend(within.excerpts.iter().cloned());
                problem.hints.extend(within.hints.iter().cloned());
            }
        }
        let label = redact(&label);
        // The interpreter's own bounds have no place, but a statement was under way.
        match error.span().cloned().or_else(|| self.run.statement()) {
            Some(span) => {
                let blamed = complaint.and_then(|complaint| complaint.argument.as_ref());
                let blamed = blamed.and_then(|blamed| argument::find(&span, blamed));
                problem.excerpts.push(excerpt(&blamed.unwrap_or(span), &label));
            }
            None => problem.reasons.insert(0, label),
        }
        problem.excerpts.extend(callers(error));
        problem.excerpts.dedup();
        problem.excerpts.truncate(MAX_PLACES_SHOWN);
        problem
    }
}

/// Returns a problem of something that has no place.
pub(crate) fn without_place(what: &str, complaint: Complaint) -> Problem {
    Problem {
        what: what.to_owned(),
        cause: complaint.cause,
        reasons: vec![complaint.label],
        excerpts: Vec::new(),
        hints: complaint.hints,
    }
}

/// Returns whoever called, innermost first, without the call that failed itself.
fn callers(error: &Error) -> impl Iterator<Item = Excerpt> {
    let frames = error.call_stack().frames.iter().rev();
    let outer = frames.filter_map(|frame| Some((frame.location.as_ref()?, &frame.name)));
    let outer = outer.skip_while(|(location, _)| Some(*location) == error.span());
    outer.map(|(location, name)| excerpt(location, &format!("`{name}` is called here")))
}

fn excerpt(span: &FileSpan, label: &str) -> Excerpt {
    let source = SourceText::new(span.file.filename(), span.file.source());
    let (begin, end) = (span.span.begin().get() as usize, span.span.end().get() as usize);
    source.excerpt(begin..end, label)
}

/// Returns where something is, as declarations keep it.
pub(crate) fn place(span: &FileSpan) -> Place {
    let begin = span.resolve_span().begin;
    Place { file: span.filename().to_owned(), line: begin.line + 1, column: begin.column + 1 }
}

fn complaint(kind: &ErrorKind) -> Option<&Complaint> {
    match kind {
        ErrorKind::Native(error) | ErrorKind::Other(error) => error.downcast_ref(),
        _ => None,
    }
}

/// Returns what an error of the interpreter says, in the tone of ours.
fn said(error: &Error) -> String {
    let mut text = match error.kind() {
        ErrorKind::Fail(text) => return text.to_string().trim().to_owned(),
        kind => kind.to_string(),
    };
    // Functions are called by their file and name; the file is shown anyway.
    if let Some(file) = error.span().map(FileSpan::filename) {
        text = text.replace(&format!("`{file}."), "`");
    }
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("Parse error: ").unwrap_or(text);
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str().trim_end_matches('.'))
}

/// Returns what to say if the interpreter met one of its bounds. Its errors have no types, so they
/// are known by their first words; a test for each bound holds them.
fn limit(kind: &ErrorKind, said: &str) -> Option<Complaint> {
    if matches!(kind, ErrorKind::StackOverflow(_)) {
        let label = format!("calls nest deeper than {MAX_CALL_DEPTH}");
        return Some(Complaint::limit(label));
    }
    if said.starts_with("heap memory limit") {
        return Some(heap_complaint());
    }
    said.starts_with("execution duration limit").then(|| {
        let label = format!("more than {MAX_TICKS} calls and rounds of loops");
        Complaint::limit(label).hint("is there a loop that does not end?")
    })
}
