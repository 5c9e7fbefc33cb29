//! `socktrace/listing.ld` names modules and functions, and nothing else tells when one has another
//! name: listings only take more memory.

use std::fs;
use std::path::{Path, PathBuf};

/// The path in each pattern for code of the crate: `9socktrace6render7columns` as in symbols, or
/// `socktrace..cli..plan` as in their arguments.
fn paths(script: &str) -> Vec<Vec<String>> {
    let patterns =
        script.split(|c: char| "() \n".contains(c)).filter_map(|w| w.strip_prefix(".text.*"));
    let of_the_crate = patterns.map(|pattern| pattern.trim_end_matches('*'));
    of_the_crate
        .filter_map(|pattern| match pattern.strip_prefix("9socktrace") {
            Some(symbol) => Some(components(symbol)),
            None => pattern
                .strip_prefix("socktrace..")
                .map(|rest| rest.split("..").map(str::to_owned).collect()),
        })
        .collect()
}

/// `6render7columns` is two names, each after its length.
fn components(mut symbol: &str) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(digits) = symbol.find(|c: char| !c.is_ascii_digit()) {
        let length: usize = symbol[..digits].parse().expect("a length");
        let (name, rest) = symbol[digits..].split_at(length);
        names.push(name.to_owned());
        symbol = rest;
    }
    names
}

/// Whether each name is a module, or the last one something in the module before it.
fn is_there(sources: &Path, names: &[String]) -> bool {
    let file_of = |modules: &[String]| -> Option<PathBuf> {
        let folder = sources.join(modules.iter().collect::<PathBuf>());
        let files = [folder.with_extension("rs"), folder.join("mod.rs"), folder.join("main.rs")];
        files.into_iter().find(|file| file.is_file())
    };
    let Some((last, modules)) = names.split_last() else { return false };
    let is_item = || {
        let text = file_of(modules).and_then(|file| fs::read_to_string(file).ok())?;
        Some(["fn", "struct", "enum"].iter().any(|kind| text.contains(&format!("{kind} {last}"))))
    };
    file_of(names).is_some() || is_item().unwrap_or(false)
}

#[test]
fn the_code_that_the_linker_puts_together_has_the_names_that_it_is_told() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../socktrace");
    let script = fs::read_to_string(package.join("listing.ld")).unwrap();
    let paths = paths(&script);
    assert!(paths.len() > 20, "{paths:?}");
    let lost: Vec<_> =
        paths.iter().filter(|names| !is_there(&package.join("src"), names)).collect();
    assert!(lost.is_empty(), "socktrace/listing.ld names what is not in socktrace/src: {lost:?}");
}
