//! Compiles Python once, in the build, instead of at every start of every process.
//!
//! Unchecked-hash bytecode (PEP 552): the import system neither looks at the source's time nor
//! writes anything, which nobody could in a read-only tree. File names in it are relative to the
//! tree, because the artifact's path depends on its content; Python replaces them by the real ones
//! when it imports (`importlib._bootstrap_external._compile_bytecode`), so tracebacks show where
//! the code is. A file that does not compile is reported and left as it is: many packages carry
//! templates and code for other versions.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command::Program;

/// Removes bytecode that is there (it may be of another version or not match) and compiles.
const SCRIPT: &str = "\
import compileall, os, py_compile, re, shutil, sys
root = sys.argv[1]
for directory, names, files in os.walk(root):
    if '__pycache__' in names:
        shutil.rmtree(os.path.join(directory, '__pycache__'))
    names[:] = [name for name in names if name not in ('__pycache__', 'node_modules')]
compileall.compile_dir(
    root, maxlevels=64, quiet=1, force=True, stripdir=root, rx=re.compile('/node_modules/'),
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
";

/// Returns the program that compiles everything below `root`.
pub(crate) fn compile(
    python: &Path,
    root: &Path,
    environment: &BTreeMap<String, String>,
) -> Program {
    let mut environment = environment.clone();
    environment.remove("PYTHONDONTWRITEBYTECODE");
    // The order of a frozen set in bytecode follows the hash seed.
    environment.insert("PYTHONHASHSEED".to_owned(), "0".to_owned());
    let mut arguments: Vec<OsString> =
        ["-s", "-W", "ignore", "-c", SCRIPT].map(OsString::from).into();
    arguments.push(root.as_os_str().to_owned());
    // The working directory is on the import path: in `root` an app's `re.py` would be imported.
    let directory = PathBuf::from("/");
    Program { path: python.to_owned(), arguments, directory, environment }
}
