//! A failure for people.
//!
//! One with labelled facts (a deploy that failed) is a report: one block with its causes, facts
//! and next commands under each other. One without is a message like any other program's.

use report::Failure;

use super::paint::{Paint, Style};
use super::untrusted;

/// Labels are at least as wide as the steps' names above the block.
const MIN_LABEL: usize = 8;

/// Returns the lines of a failure.
pub(crate) fn lines(failure: &Failure, paint: Paint) -> Vec<String> {
    let message = untrusted::visible(&failure.message);
    let mut lines = vec![format!("{} {message}", paint.paint(Style::Bad, "error:"))];
    if failure.details.is_empty() {
        for cause in &failure.causes {
            push_folded(&mut lines, "  caused by: ", "    ", cause);
        }
        push_excerpts(&mut lines, failure);
        for hint in &failure.hints {
            let first = format!("{} ", paint.paint(Style::Good, "hint:"));
            push_folded(&mut lines, &first, "  ", hint);
        }
        return lines;
    }
    let labels = failure.details.iter().map(|(label, _)| label.chars().count());
    let width = labels.max().unwrap_or(0).max(MIN_LABEL);
    let block = |lines: &mut Vec<String>, label: &str, style, text: &str| {
        let padded = format!("{:width$}", untrusted::visible(label));
        let first = format!("  {} ", paint.paint(style, &padded));
        push_folded(lines, &first, &" ".repeat(width + 3), text);
    };
    for (number, cause) in failure.causes.iter().enumerate() {
        block(&mut lines, if number == 0 { "cause" } else { "" }, Style::Dim, cause);
    }
    push_excerpts(&mut lines, failure);
    for (label, text) in &failure.details {
        block(&mut lines, label, Style::Dim, text);
    }
    for (number, hint) in failure.hints.iter().enumerate() {
        block(&mut lines, if number == 0 { "next" } else { "" }, Style::Good, hint);
    }
    lines
}

/// Adds `text`, its first line behind `first`, the others indented by `indent`.
fn push_folded(lines: &mut Vec<String>, first: &str, indent: &str, text: &str) {
    for (number, line) in text.lines().enumerate() {
        let before = if number == 0 { first } else { indent };
        lines.push(format!("{before}{}", untrusted::visible(line)));
    }
}

fn push_excerpts(lines: &mut Vec<String>, failure: &Failure) {
    for excerpt in &failure.excerpts {
        let text = excerpt.to_string();
        lines.extend(text.lines().map(|line| untrusted::visible(line).into_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Kind;

    #[test]
    fn a_failed_deploy_is_a_report() {
        let failure = Failure::new(Kind::Failed, "shop v15 never became ready")
            .cause(
                "KeyError 'STRIPE_KEY' at settings.py:88, exit 3, 4 starts. Not set for shop.\n\
                    Your shell has it; Skep never passes your shell's variables on.",
            )
            .detail("probes", "GET / (Host shop.example.com): no answer ×31")
            .detail("log", "last 2 of 31 lines\n  File \"settings.py\", line 88\nKeyError")
            .hint("skep env:set STRIPE_KEY");
        insta::assert_snapshot!(lines(&failure, Paint::Plain).join("\n"), @r#"
        error: shop v15 never became ready
          cause    KeyError 'STRIPE_KEY' at settings.py:88, exit 3, 4 starts. Not set for shop.
                   Your shell has it; Skep never passes your shell's variables on.
          probes   GET / (Host shop.example.com): no answer ×31
          log      last 2 of 31 lines
                     File "settings.py", line 88
                   KeyError
          next     skep env:set STRIPE_KEY
        "#);
    }

    #[test]
    fn a_small_failure_is_a_message() {
        let failure = Failure::new(Kind::Failed, "no app `shpo`")
            .cause("a\x1b[2Jb")
            .hint("did you mean `shop`?")
            .hint("write `skep.toml`:\n  app = \"shpo\"");
        insta::assert_snapshot!(lines(&failure, Paint::Plain).join("\n"), @r#"
        error: no app `shpo`
          caused by: a^[[2Jb
        hint: did you mean `shop`?
        hint: write `skep.toml`:
            app = "shpo"
        "#);
    }
}
