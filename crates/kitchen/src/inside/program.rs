//! Becoming a program of the machine.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Gid, Uid};

use super::account::Account;
use super::environment;
use crate::machine::{Foreground, Setup};

/// The shell of a user who has none, or none that is there.
const SHELL: &str = "/bin/sh";

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    user: String,
    directory: Option<PathBuf>,
    /// As the user's login shell, if there is no command.
    login: bool,
    command: Vec<OsString>,
}

impl Program {
    /// Reads the words; `None` if they are not ours.
    pub(super) fn parse(words: &[OsString]) -> Option<Self> {
        let mut program =
            Self { user: "root".to_owned(), directory: None, login: false, command: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--user") => program.user = words.next()?.to_str()?.to_owned(),
                Some("--directory") => program.directory = Some(words.next()?.into()),
                Some("--login") => program.login = true,
                Some("--") => {
                    program.command = words.cloned().collect();
                    break;
                }
                _ => return None,
            }
        }
        (program.login || !program.command.is_empty()).then_some(program)
    }

    /// Returns whose the terminal is.
    pub(super) fn foreground(&self) -> Foreground {
        match self.login && io::stdin().is_terminal() {
            true => Foreground::Own,
            false => Foreground::Shared,
        }
    }

    /// Becomes the program; returns only if that failed.
    pub(super) fn run(self, setup: &Setup) -> (u8, String) {
        let account = match Account::find(&self.user) {
            Ok(account) => account,
            Err(text) => return (64, text),
        };
        let directory = self.directory.clone().unwrap_or_else(|| match self.login {
            true if Path::new(&account.home).is_dir() => account.home.clone().into(),
            _ => "/".into(),
        });
        let shell = match Path::new(&account.shell).is_file() {
            true => account.shell.clone(),
            false => SHELL.to_owned(),
        };
        let mut command = if let Some((program, arguments)) = self.command.split_first() {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        } else {
            let mut command = Command::new(&shell);
            // What a login shell is known by.
            let name = Path::new(&shell).file_name().unwrap_or(OsStr::new("sh"));
            let mut zeroth = OsString::from("-");
            zeroth.push(name);
            command.arg0(zeroth);
            command
        };
        command.env_clear().envs(environment(setup));
        let own = [
            ("HOME", &account.home),
            ("USER", &account.name),
            ("LOGNAME", &account.name),
            ("SHELL", &shell),
        ];
        command.envs(own);
        if let Some(term) = std::env::var_os("TERM") {
            command.env("TERM", term);
        }
        if let Err(error) = become_user(&account) {
            return (1, format!("failed to become user `{}`: {error}", account.name));
        }
        // As the user, who must be able to.
        if let Err(error) = std::env::set_current_dir(&directory) {
            return (1, format!("failed to enter `{}`: {error}", directory.display()));
        }
        let error = command.exec();
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        (code, format!("failed to run `{}`: {error}", command.get_program().display()))
    }
}

/// Groups first: only root may set them. The process has one thread, so these are its own.
fn become_user(account: &Account) -> rustix::io::Result<()> {
    let groups: Vec<_> = account.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (user, group) = (Uid::from_raw(account.user), Gid::from_raw(account.group));
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_the_dashes_are_the_command() {
        let parse =
            |words: &[&str]| Program::parse(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let program = parse(&["--user", "anna", "--", "ls", "--login"]).unwrap();
        assert_eq!((program.user.as_str(), program.login), ("anna", false));
        assert_eq!(program.command, ["ls", "--login"]);
        assert!(parse(&["--login"]).unwrap().login);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&["--user"]), None);
        assert_eq!(parse(&["ls"]), None);
    }
}
