//! What the programs themselves have to say: aya-log, onto stderr, for whoever looks into them.

use std::io::{self, Write};

use aya::Ebpf;
use aya_log::EbpfLogger;

/// Up to which level the programs log. The level is a constant to the verifier, which removes the
/// calls below it from the programs: what is not asked for costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogLevel {
    #[default]
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(super) fn raw(self) -> u8 {
        match self {
            LogLevel::Off => 0,
            LogLevel::Error => aya_log::Level::Error as u8,
            LogLevel::Warn => aya_log::Level::Warn as u8,
            LogLevel::Info => aya_log::Level::Info as u8,
            LogLevel::Debug => aya_log::Level::Debug as u8,
            LogLevel::Trace => aya_log::Level::Trace as u8,
        }
    }
}

/// The ring of messages.
pub struct BpfLog(EbpfLogger<Stderr>);

impl BpfLog {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<BpfLog, aya_log::Error> {
        EbpfLogger::init_with_logger(ebpf, Stderr).map(BpfLog)
    }

    /// Prints what has come.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = record.level().as_str().to_ascii_lowercase();
        let program = record.target();
        // With stderr gone there is nobody left to tell.
        let _ = writeln!(io::stderr(), "bpf {level}: {program}: {}", record.args());
    }

    fn flush(&self) {}
}
