//! The process that holds the sockets which tests list.

fn main() -> std::process::ExitCode {
    socktrace_tests::population::hold()
}
