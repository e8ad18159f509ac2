use clap_complete::Shell;

use crate::arguments;
use crate::context::Context;
use crate::error::{Outcome, Result};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n\
\x20 skep completions bash > ~/.local/share/bash-completion/completions/skep\n\
\x20 skep completions zsh > ~/.zfunc/_skep\n\
\x20 skep completions fish > ~/.config/fish/completions/skep.fish")]
pub(crate) struct Arguments {
    /// Which shell
    shell: KnownShell,
}

/// The shells whose completions are tested.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(Arguments { shell }: Arguments, context: &Context) -> Result<Outcome> {
    let shell = match shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::definition(), "skep", &mut script);
    context.output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Done)
}
