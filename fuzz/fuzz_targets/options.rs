//! The command line: lines are arguments.

#![no_main]

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use socktrace::cli::options::Parser;
use socktrace::cli::plan::Action;
use socktrace::say::Name;

thread_local! {
    /// Making it takes longer than what it parses.
    static PARSER: RefCell<Parser> = RefCell::new(Parser::new(Name::Socktrace));
}

fuzz_target!(|bytes: &[u8]| {
    let arguments: Vec<OsString> =
        bytes.split(|byte| *byte == b'\n').map(|line| OsString::from_vec(line.to_vec())).collect();
    if let Ok(typed) = PARSER.with_borrow_mut(|parser| parser.parse(&arguments)) {
        let _ = Action::from_typed(typed);
    }
});
