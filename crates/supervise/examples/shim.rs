//! The real shim as an executable of this crate's tests.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(shim::main(std::env::args_os().skip(1)))
}
