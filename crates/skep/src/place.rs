//! What a positional argument means: an app, one of its services, or a directory.
//!
//! A word with a dot, or with a slash that is not the one of `app/service`, is a directory; so is
//! `-C DIR` always. Where a service makes no sense (`up`, `deploy`), any slash means a directory.

use std::path::PathBuf;

/// A positional argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `shop`
    App(String),
    /// `shop/web`
    Service {
        /// `shop`
        app: String,
        /// `web`
        service: String,
    },
    /// `.`, `./shop`, `/srv/shop`, `apps/eu/shop`
    Directory(PathBuf),
}

impl From<&str> for Place {
    fn from(text: &str) -> Self {
        if text.contains('.') {
            return Self::Directory(text.into());
        }
        match text.split_once('/') {
            None => Self::App(text.to_owned()),
            Some((app, service)) if is_name(app) && is_name(service) => {
                Self::Service { app: app.to_owned(), service: service.to_owned() }
            }
            Some(_) => Self::Directory(text.into()),
        }
    }
}

/// A positional argument of a command that works on a source directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// An app, deployed again from where it came from.
    App(String),
    /// A directory.
    Directory(PathBuf),
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        if text.contains(['.', '/']) {
            Self::Directory(text.into())
        } else {
            Self::App(text.to_owned())
        }
    }
}

/// Returns whether `text` may be an app's or a service's name.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_dots_make_directories() {
        for directory in
            [".", "..", "./shop", "/srv/shop", "a/b/c", "shop.old", "shop/", "Shop/web"]
        {
            assert_eq!(Place::from(directory), Place::Directory(directory.into()), "{directory}");
        }
        assert_eq!(Place::from("shop"), Place::App("shop".to_owned()));
        assert_eq!(
            Place::from("shop/web"),
            Place::Service { app: "shop".to_owned(), service: "web".to_owned() }
        );
        assert_eq!(
            Source::from("examples/guestbook"),
            Source::Directory("examples/guestbook".into())
        );
        assert_eq!(Source::from("shop"), Source::App("shop".to_owned()));
    }
}
