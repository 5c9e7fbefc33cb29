//! The command line: lines are arguments.

#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use socktrace::cli::options::parse;
use socktrace::cli::plan::Action;
use socktrace::say::Name;

fuzz_target!(|bytes: &[u8]| {
    let arguments: Vec<OsString> =
        bytes.split(|byte| *byte == b'\n').map(|line| OsString::from_vec(line.to_vec())).collect();
    if let Ok(typed) = parse(Name::Socktrace, &arguments) {
        let _ = Action::from_typed(typed);
    }
});
