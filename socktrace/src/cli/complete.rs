//! What the shell offers when somebody presses Tab: options, subcommands, and the words of a filter
//! by what was typed before.
//!
//! The script that `socktrace completions SHELL` prints has the shell ask the binary itself, with
//! `COMPLETE=SHELL` in the environment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory, Parser};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;

use super::command;
use super::options;
use crate::filter::complete::{self, Next};
use crate::filter::words::{self, Kind};
use crate::filter::{Name, Number};
use crate::say;

/// What the shell sets when it asks.
const VARIABLE: &str = "COMPLETE";
const BINARY: &str = "socktrace";

/// Answers the shell, if it is the shell that asks.
pub fn answer() -> Option<io::Result<()>> {
    std::env::var_os(VARIABLE)?;
    let asked = CompleteEnv::with_factory(whole).bin(BINARY);
    let answered = asked.try_complete(std::env::args_os(), None);
    Some(answered.map(|_| ()).map_err(io::Error::other))
}

/// Prints the script by which a shell completes options, subcommands and filters.
#[derive(Debug, Parser)]
#[command(name = "socktrace completions", after_help = AFTER_HELP)]
struct Typed {
    #[arg(value_parser = PossibleValuesParser::new(Shells::builtins().names()))]
    shell: String,
}

const AFTER_HELP: &str =
    "For bash, for example, in ~/.bashrc: source <(socktrace completions bash)";

/// The command line, for completions and the manual.
pub fn command() -> Command {
    Typed::command()
}

/// The shell that the arguments behind `completions` name.
pub fn parse(args: &[OsString]) -> Result<String, clap::Error> {
    let name = OsString::from("socktrace completions");
    Ok(Typed::try_parse_from([&name].into_iter().chain(args))?.shell)
}

/// The script for a shell.
pub fn script(shell: &str) -> io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or(io::ErrorKind::Unsupported)?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, BINARY, BINARY, BINARY, &mut script)?;
    Ok(script)
}

/// The whole command line, subcommands included, for help, completions and the manual.
pub fn whole() -> Command {
    let subcommands = command::COMMANDS
        .iter()
        .map(|(name, _, command)| command().name(*name).mut_args(with_values));
    options::command(say::Name::Socktrace)
        .mut_args(with_values)
        .subcommands(subcommands)
        .disable_help_subcommand(true)
}

/// An argument with what its value may be.
fn with_values(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        options::FILTER_WORDS => arg.add(ArgValueCompleter::new(filter_word)),
        "query" | "socket" => arg.add(ArgValueCandidates::new(|| plain(tables()))),
        "family" => arg.add(ArgValueCandidates::new(|| {
            plain(
                ["inet", "inet6", "link", "unix", "netlink", "vsock", "tipc", "xdp"]
                    .map(str::to_owned),
            )
        })),
        "net" => arg.add(ArgValueCandidates::new(|| plain(listed("/run/netns")))),
        _ => arg,
    }
}

fn tables() -> impl Iterator<Item = String> {
    ["all", "inet"].into_iter().chain(words::tables()).map(str::to_owned)
}

/// The candidates for a word of the filter.
fn filter_word(current: &OsStr) -> Vec<CompletionCandidate> {
    let before = words_before();
    // A filter may be quoted as a whole: then its last word is the one that is typed.
    let current = current.as_bytes();
    let inner = current.iter().rposition(|byte| *byte == b' ').map_or(0, |blank| blank + 1);
    let (quoted, word) = current.split_at(inner);
    let typed = before.iter().map(|word| word.as_bytes());
    let quoted_words = quoted.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (start, attached) = complete::piece(word);
    let next = attached.unwrap_or_else(|| complete::after(typed.chain(quoted_words)));
    let (kept, piece) = (&current[..inner + start], &word[start..]);
    let candidates = match next {
        Next::Predicate => complete::predicates()
            .map(|(name, asks)| CompletionCandidate::new(name).help(Some(asks.into())))
            .collect(),
        Next::State => plain(complete::states().map(str::to_owned)),
        Next::Value(word) => values(word.kind),
        Next::OperatorOrValue(word) => {
            let operators = word.kind.operators().symbols().iter().map(|word| (*word).to_owned());
            plain(operators).into_iter().chain(values(word.kind)).collect()
        }
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.get_value().as_bytes().starts_with(piece))
        .map(|candidate| candidate.add_prefix(OsString::from_vec(kept.to_vec())))
        .collect()
}

/// The words of the filter before the one that is typed: the shell gives all words after `--`, and
/// most say which one it is.
fn words_before() -> Vec<OsString> {
    let mut words: Vec<OsString> =
        std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    words.truncate(index.unwrap_or(words.len().saturating_sub(1)));
    words.into_iter().skip(1).filter(|word| !word.as_bytes().starts_with(b"-")).collect()
}

/// What there is to compare with on this system.
fn values(kind: Kind) -> Vec<CompletionCandidate> {
    match kind {
        Kind::State(_) => plain(complete::states().map(str::to_owned)),
        Kind::Choice(_, among) => plain(among.iter().map(|word| (*word).to_owned())),
        Kind::Protocol => plain(words::tables().map(str::to_owned)),
        Kind::Device => plain(listed("/sys/class/net")),
        Kind::Number(Number::Netns) => plain(listed("/run/netns").chain(["self".to_owned()])),
        Kind::Name(Name::Comm) => plain(process_names()),
        Kind::Name(Name::CongestionControl) => {
            let known = "/proc/sys/net/ipv4/tcp_available_congestion_control";
            let known = std::fs::read_to_string(known).unwrap_or_default();
            plain(known.split_whitespace().map(str::to_owned))
        }
        _ => Vec::new(),
    }
}

fn plain(values: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    values.into_iter().map(CompletionCandidate::new).collect()
}

/// The names in a folder.
fn listed(folder: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// The names of the processes that run, as far as a filter takes them as they are.
fn process_names() -> impl Iterator<Item = String> {
    let comm = |pid: String| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let is_plain =
        |name: &String| name.bytes().all(|b| b.is_ascii_graphic() && !b"()*?[]\\".contains(&b));
    let names = listed("/proc").filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let names = names.filter_map(comm).map(|name| name.trim_end().to_owned()).filter(is_plain);
    names.collect::<std::collections::BTreeSet<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use clap_complete::engine;

    use super::*;

    #[test]
    fn the_whole_command_line_is_one_that_clap_accepts() {
        whole().debug_assert();
    }

    #[test]
    fn there_is_a_script_for_each_shell_that_is_named() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(&parse(&[shell.into()]).unwrap()).unwrap();
            assert!(script.windows(9).any(|text| text == b"socktrace"), "{shell}");
        }
        assert!(parse(&["csh".into()]).is_err());
    }

    #[test]
    fn every_command_is_named_and_completes_filters_and_namespaces() {
        let offered = |line: &str| -> Vec<OsString> {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let at = words.len() - 1;
            let candidates = engine::complete(&mut whole(), words, at, None).unwrap();
            candidates.into_iter().map(|candidate| candidate.get_value().to_owned()).collect()
        };
        let help = whole().render_help().to_string();
        for (name, _, command) in command::COMMANDS {
            assert!(help.contains(&format!("\n  {name} ")), "{name}");
            let is_filter = |arg: &Arg| arg.get_value_names().is_some_and(|of| of[0] == "FILTER");
            if command().get_positionals().any(is_filter) {
                assert_eq!(offered(&format!("socktrace {name} procn")), ["procname"], "{name}");
            }
            if let Some(net) = command().get_arguments().find(|arg| arg.get_short() == Some('N')) {
                assert_eq!(net.get_id(), "net", "{name}");
            }
        }
        assert_eq!(offered("socktrace -t procn"), ["procname"]);
        assert_eq!(offered("socktrace states --by sta"), ["state"]);
        assert!(!offered("socktrace hel").contains(&"help".into()));
    }

    #[test]
    fn a_quoted_filter_is_completed_at_its_end() {
        let offered = |text: &str| -> Vec<OsString> {
            let candidates = filter_word(OsStr::new(text)).into_iter();
            candidates.map(|candidate| candidate.get_value().to_owned()).collect()
        };
        assert_eq!(offered("dport = 1 and state=list"), ["dport = 1 and state=listening"]);
        assert_eq!(offered("(timer = keep"), ["(timer = keepalive"]);
        assert!(offered("pr").contains(&"procname".into()));
    }
}
