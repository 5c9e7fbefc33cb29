//! Has the linker put the code of listings into one place of an optimised program: `listing.ld`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=listing.ld");
    let is_optimised = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_optimised && !is_linker_chosen() {
        let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/listing.ld");
    }
}

/// GNU ld and LLD, one of which Rust links with unless it is told otherwise, know how to insert a
/// section; mold and gold refuse to.
fn is_linker_chosen() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    env::var_os("RUSTC_LINKER").is_some() || ["fuse-ld", "linker"].iter().any(|f| flags.contains(f))
}
