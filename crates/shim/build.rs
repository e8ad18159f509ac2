//! Links `skep-shim` at a fixed address: there is one for each service, and a position-independent
//! program writes its relocations into memory that each of them then has for itself.

fn main() {
    println!("cargo:rustc-link-arg-bins=-no-pie");
    println!("cargo:rerun-if-changed=build.rs");
}
