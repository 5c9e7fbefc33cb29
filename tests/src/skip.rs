//! Skipping a test out loud: libtest cannot say "skipped", and a silent pass would be a lie.

use std::io::Write;

/// Set by CI, where nothing may be skipped.
const NO_SKIP: &str = "SOCKTRACE_NO_SKIP";

/// Says on the real standard error, past libtest's capture, that the test was skipped.
pub fn report(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(
        std::env::var_os(NO_SKIP).is_none(),
        "{test} was to be skipped ({why}): {NO_SKIP} forbids it"
    );
    let line = format!("SKIPPED {test}: {why}\n");
    // Standard error of the process: `eprintln!` would land in the captured output of the test.
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(line.as_bytes());
}

/// Leaves the test, saying why.
#[macro_export]
macro_rules! skip {
    ($($why:tt)+) => {{
        $crate::skip::report(&format!($($why)+));
        return;
    }};
}

/// Skips the test unless it runs as root.
#[macro_export]
macro_rules! require_root {
    () => {
        if !$crate::skip::is_root() {
            $crate::skip!("it needs root");
        }
    };
}

/// Skips the test on a kernel before the one that brought what it is about.
#[macro_export]
macro_rules! require_linux {
    ($major:literal, $minor:literal, $what:literal) => {
        if $crate::skip::linux() < ($major, $minor) {
            $crate::skip!("{}, which came with Linux {}.{}", $what, $major, $minor);
        }
    };
}

/// The version of the running kernel.
pub fn linux() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let mut next = || numbers.next().flatten().expect("a release begins with two numbers");
    (next(), next())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
