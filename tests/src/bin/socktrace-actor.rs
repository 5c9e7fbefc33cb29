//! A process that does with sockets what a test orders.

fn main() -> std::process::ExitCode {
    socktrace_tests::driver::act()
}
