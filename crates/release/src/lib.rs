//! From a directory to an immutable artifact: source set, build key, build, manifest, retention
