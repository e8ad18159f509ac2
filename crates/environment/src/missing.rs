//! Required variables that nobody has set.

use std::collections::BTreeSet;
use std::fmt;

use report::{Failure, Kind};

/// What is said where the caller's own shell has a variable that a process lacks.
pub const IN_THE_SHELL: &str = "Your shell has it; Skep never passes your shell's variables on.";

/// What a release lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The app.
    pub app: String,
    /// What it was constructed for, for example `service web`.
    pub purpose: String,
    /// By name; never empty.
    pub variables: Vec<MissingVariable>,
}

/// One variable that is required and not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingVariable {
    /// Its name.
    pub name: String,
    /// What the app file says it is for.
    pub about: Option<String>,
    /// Whether its value is a secret.
    pub secret: bool,
}

impl Missing {
    /// Returns it as it is shown to the caller. `shell` are the names of the variables in the
    /// caller's own shell: people export a variable there and expect it to arrive.
    pub fn failure(&self, shell: &BTreeSet<String>) -> Failure {
        let mut failure = Failure::new(Kind::Failed, self.to_string());
        for variable in &self.variables {
            let about = variable.about.as_deref().unwrap_or("required by the app file");
            let mut text = about.trim_end_matches('.').to_owned();
            if shell.contains(&variable.name) {
                text.push('\n');
                text.push_str(IN_THE_SHELL);
            }
            failure = failure.detail(&variable.name, text);
        }
        // A bare name lets the command ask for the value, so that it reaches no shell history.
        let words: Vec<String> = self
            .variables
            .iter()
            .map(|v| if v.secret { v.name.clone() } else { format!("{}=…", v.name) })
            .collect();
        failure.hint(format!("skep env:set {}", words.join(" ")))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, purpose, variables } = self;
        match variables.as_slice() {
            [one] => write!(f, "`{}` is not set for {app}, {purpose} needs it", one.name),
            more => {
                write!(f, "{} variables are not set for {app}, {purpose} needs them", more.len())
            }
        }
    }
}

impl std::error::Error for Missing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_variable_says_what_it_is_for_and_what_to_type() {
        let missing = Missing {
            app: "shop".into(),
            purpose: "service web".into(),
            variables: vec![
                MissingVariable { name: "REGION".into(), about: None, secret: false },
                MissingVariable {
                    name: "STRIPE_KEY".into(),
                    about: Some("to take payments.".into()),
                    secret: true,
                },
            ],
        };
        let shell = BTreeSet::from(["STRIPE_KEY".to_owned()]);
        assert_eq!(
            missing.failure(&shell).to_string(),
            "error: 2 variables are not set for shop, service web needs them\n  \
             REGION      required by the app file\n  \
             STRIPE_KEY  to take payments\n              \
             Your shell has it; Skep never passes your shell's variables on.\n\
             hint: skep env:set REGION=… STRIPE_KEY"
        );
    }
}
