//! Cookbooks from git, through the git program.
//!
//! Each URL has a bare repository in the cache; a commit's files are unpacked beside it, once. git gets a
//! constructed environment: no configuration of the user's, no prompt, the named key and no other, and
//! ssh takes only the host keys that are named. From the caller it takes only where certificates and
//! proxies are.

mod program;

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use disk::{DiskError, Lock};
use sha2::{Digest, Sha256};

use self::program::{Ended, TIMEOUT, run};
use crate::sources::GitSource;
use crate::tree::{MAX_FILE_BYTES, MAX_FILES};
use crate::version::Version;

/// Longest part of git's complaints that is shown.
const MAX_COMPLAINT_BYTES: usize = 2048;

/// Most tags that are looked at, the newest versions first.
const MAX_VERSIONS: usize = 500;

/// Why something cannot be had from git.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git could not be started.
    #[error("failed to run `git`")]
    Start(#[source] io::Error),
    /// git failed.
    #[error("failed to {doing} `{url}`{whom}: {complaint}")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// On what.
        url: String,
        /// As whom, with which keys.
        whom: String,
        /// What git said.
        complaint: String,
    },
    /// There is no such revision.
    #[error("`{url}` has no `{revision}`")]
    NoRevision {
        /// The repository.
        url: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// The archive holds what a cookbook cannot.
    #[error("`{path}` of `{url}` is neither a file nor a directory; a cookbook has no links")]
    Special {
        /// The repository.
        url: String,
        /// Which.
        path: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An archive cannot be unpacked.
    #[error("failed to unpack a commit of `{url}`")]
    Unpack {
        /// The repository.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One git repository in the cache.
#[derive(Debug)]
pub(crate) struct Mirror {
    source: GitSource,
    root: PathBuf,
    bare: PathBuf,
    trees: PathBuf,
}

impl Mirror {
    /// Returns the mirror of a source; paths of keys are relative to `root`, the repository.
    pub(crate) fn of(source: &GitSource, cache: &Path, root: &Path) -> Self {
        let digest = Sha256::digest(source.url.as_bytes());
        let id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self {
            source: source.clone(),
            root: root.to_owned(),
            bare: cache.join(format!("{id}.git")),
            trees: cache.join(format!("{id}.trees")),
        }
    }

    /// Fetches everything.
    pub(crate) fn fetch(&self) -> Result<(), GitError> {
        let _lock = self.lock()?;
        if !self.bare.join("HEAD").exists() {
            self.git("make a copy of", &["init", "--quiet", "--bare"])?;
        }
        let words = [
            "fetch",
            "--quiet",
            "--force",
            "--prune",
            "--no-write-fetch-head",
            "--",
            &self.source.url,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
            "+HEAD:refs/skep/head",
        ];
        self.git("fetch", &words).map(|_| ())
    }

    fn lock(&self) -> Result<Lock, GitError> {
        disk::create_directories(&self.bare, 0o755)?;
        disk::create_directories(&self.trees, 0o755)?;
        Ok(Lock::exclusive(&self.bare.with_extension("lock"))?)
    }

    /// Returns the tags that are versions with their commits, the newest first.
    pub(crate) fn versions(&self) -> Result<Vec<(Version, String)>, GitError> {
        let format = "--format=%(refname:strip=2) %(objectname) %(*objectname)";
        let listed = self.git("list the tags of", &["for-each-ref", format, "refs/tags"])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut versions: Vec<(Version, String)> = listed
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let tag = words.next()?;
                let version = tag.strip_prefix('v').unwrap_or(tag).parse().ok()?;
                // An annotated tag is an object of its own; the last word is what it is about.
                let commit = words.rfind(|word| !word.is_empty())?;
                Some((version, commit.to_owned()))
            })
            .collect();
        versions.sort_by(|one, other| other.cmp(one));
        versions.dedup_by_key(|(version, _)| *version);
        versions.truncate(MAX_VERSIONS);
        Ok(versions)
    }

    /// Returns the commit of the source's revision.
    pub(crate) fn commit(&self) -> Result<Option<String>, GitError> {
        let Some(revision) = &self.source.revision else { return Ok(None) };
        let asked = format!("{revision}^{{commit}}");
        let words = ["rev-parse", "--quiet", "--verify", "--end-of-options", &asked];
        match self.git("look into", &words) {
            Ok(commit) => Ok(Some(String::from_utf8_lossy(&commit).trim().to_owned())),
            Err(GitError::Failed { .. }) => Err(GitError::NoRevision {
                url: self.source.url.clone(),
                revision: revision.clone(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Returns whether a commit is in the cache.
    pub(crate) fn has(&self, commit: &str) -> bool {
        let asked = format!("{commit}^{{commit}}");
        self.bare.join("HEAD").exists()
            && self.git("look into", &["cat-file", "-e", &asked]).is_ok()
    }

    /// Returns the text of a file at a commit, `None` if there is none.
    pub(crate) fn show(&self, commit: &str, path: &str) -> Result<Option<String>, GitError> {
        let asked = format!("{commit}:{}", self.below(path));
        match self.git("look into", &["cat-file", "blob", &asked]) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn below(&self, path: &str) -> String {
        match &self.source.directory {
            Some(directory) => format!("{directory}/{path}"),
            None => path.to_owned(),
        }
    }

    fn tree_of(&self, commit: &str) -> PathBuf {
        let digest =
            Sha256::digest(self.source.directory.as_deref().unwrap_or_default().as_bytes());
        self.trees.join(format!("{commit}-{:02x}{:02x}", digest[0], digest[1]))
    }

    /// Returns the directory with the files of a commit, unpacked.
    pub(crate) fn unpacked(&self, commit: &str) -> Result<PathBuf, GitError> {
        let tree = self.tree_of(commit);
        if tree.is_dir() {
            return Ok(tree);
        }
        let _lock = self.lock()?;
        let asked = match &self.source.directory {
            Some(directory) => format!("{commit}:{directory}"),
            None => commit.to_owned(),
        };
        let archive = self.git("look into", &["archive", "--format=tar", &asked])?;
        let staged = self.trees.join(format!("{commit}.new"));
        disk::remove_tree(&staged)?;
        disk::create_directories(&staged, 0o755)?;
        self.unpack(&archive, &staged)?;
        disk::sync_tree(&staged)?;
        fs::rename(&staged, &tree).map_err(|error| DiskError::new("make", &tree, error))?;
        Ok(tree)
    }

    fn unpack(&self, archive: &[u8], to: &Path) -> Result<(), GitError> {
        let failed = |source| GitError::Unpack { url: self.source.url.clone(), source };
        let mut archive = tar::Archive::new(archive);
        for (count, entry) in archive.entries().map_err(failed)?.enumerate() {
            let entry = entry.map_err(failed)?;
            let path = entry.path().map_err(failed)?.into_owned();
            let special = || GitError::Special {
                url: self.source.url.clone(),
                path: path.display().to_string(),
            };
            if !path.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(special());
            }
            let full = to.join(&path);
            match entry.header().entry_type() {
                tar::EntryType::Directory => disk::create_directories(&full, 0o755)?,
                tar::EntryType::Regular if count < MAX_FILES => {
                    let mut bytes = Vec::new();
                    entry.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
                    if let Some(parent) = full.parent() {
                        disk::create_directories(parent, 0o755)?;
                    }
                    fs::write(&full, bytes).map_err(|e| DiskError::new("write", &full, e))?;
                }
                tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => {}
                _ => return Err(special()),
            }
        }
        Ok(())
    }

    /// Returns as whom, with which key and which host keys git goes to the server.
    fn whom(&self) -> String {
        let uid = rustix::process::geteuid().as_raw();
        let key = self.source.deploy_key.as_deref().map(|key| format!("key `{key}`"));
        let hosts = self.source.known_hosts.as_deref().map(|file| format!("host keys `{file}`"));
        let parts = [key, hosts].into_iter().flatten().collect::<Vec<_>>();
        match parts.is_empty() {
            true => format!(" (as user {uid}, without a key)"),
            false => format!(" (as user {uid}, {})", parts.join(", ")),
        }
    }

    fn git(&self, doing: &'static str, words: &[&str]) -> Result<Vec<u8>, GitError> {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.bare).args(words).env_clear();
        let kept = |name: &str| {
            name == "PATH"
                || name.starts_with("SSL_CERT_")
                || name.to_ascii_uppercase().ends_with("_PROXY")
        };
        for (name, value) in std::env::vars_os() {
            if name.to_str().is_some_and(kept) {
                command.env(name, value);
            }
        }
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "file:https:http:ssh:git")
            .env("GIT_SSH_COMMAND", self.ssh())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let (ended, stdout, stderr) = run(&mut command).map_err(GitError::Start)?;
        if ended == Ended::Well {
            return Ok(stdout);
        }
        let complaint = match ended {
            Ended::Late => format!("no answer in {} seconds", TIMEOUT.as_secs()),
            _ => String::from_utf8_lossy(&stderr[..stderr.len().min(MAX_COMPLAINT_BYTES)])
                .trim()
                .to_owned(),
        };
        let (url, whom) = (self.source.url.clone(), self.whom());
        Err(GitError::Failed { doing, url, whom, complaint })
    }

    /// Returns the ssh that git uses: with this key and these host keys, and without asking.
    fn ssh(&self) -> String {
        let mut command = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes".to_owned();
        let path = |path: &str| shell_quoted(&self.root.join(path).display().to_string());
        if let Some(key) = &self.source.deploy_key {
            command += " -o IdentitiesOnly=yes -i ";
            command += &path(key);
        }
        if let Some(hosts) = &self.source.known_hosts {
            command += " -o UserKnownHostsFile=";
            command += &path(hosts);
        }
        command
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
