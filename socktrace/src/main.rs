//! Parses, dispatches, and decides the exit code.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use socktrace::cli::command;
use socktrace::say::{self, Name};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let name = match Path::new(&called).file_name() {
        Some(file) if file == OsStr::new("ss") => Name::Ss,
        _ => Name::Socktrace,
    };
    say::set_name(name);
    command::run(name, args.collect())
}
