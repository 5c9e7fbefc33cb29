//! The manual page, from the same tables as the parser.

use std::ffi::OsString;
use std::io;

use clap::{Command, CommandFactory, Parser};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::complete;
use crate::filter::words::{self, Of};

/// Prints the manual page, in roff: socktrace man | man -l -
#[derive(Debug, Parser)]
#[command(name = "socktrace man")]
struct Typed {}

/// The command line, for completions and the manual.
pub fn command() -> Command {
    Typed::command()
}

/// The arguments behind `man`: there are none.
pub fn parse(args: &[OsString]) -> Result<(), clap::Error> {
    let name = OsString::from("socktrace man");
    Typed::try_parse_from([&name].into_iter().chain(args)).map(|_| ())
}

/// The page in roff.
pub fn page() -> io::Result<Vec<u8>> {
    let man = Man::new(complete::whole()).title("SOCKTRACE").section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    commands().to_writer(&mut page)?;
    predicates().to_writer(&mut page)?;
    Ok(page)
}

/// The commands, which have no pages of their own.
fn commands() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    roff.text([roman("Each tells its options and exit codes with "), bold("--help"), roman(".")]);
    for command in complete::whole().get_subcommands() {
        roff.control("TP", []);
        roff.text([bold(format!("socktrace {}", command.get_name()))]);
        roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
    roff
}

fn predicates() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["FILTER"]);
    let text = |roff: &mut Roff, inlines: Vec<Inline>| {
        roff.text(inlines);
    };
    text(
        &mut roff,
        vec![
            roman("A filter chooses sockets, or events: "),
            bold("state"),
            roman(" and "),
            bold("exclude"),
            roman(
                " with the name of a state, and then predicates, joined by and, or, not and \
                 parentheses. A predicate is a word, an operator (= != > < >= <=, where = may be \
                 left out) and a value. One about something that a socket does not have is false.",
            ),
        ],
    );
    for (title, wanted) in [
        ("Predicates of ss", Of::Ss),
        ("Predicates of sockets and events", Of::Both),
        ("Predicates of events", Of::Events),
    ] {
        roff.control("SS", [title]);
        for word in words::PREDICATES.iter().filter(|word| word.of == wanted) {
            roff.control("TP", []);
            let mut line = Vec::new();
            for (i, name) in word.names().enumerate() {
                if i > 0 {
                    line.push(roman(", "));
                }
                line.push(bold(name));
            }
            let operators = word.kind.operators().symbols();
            if !operators.is_empty() {
                line.push(roman(" "));
                line.push(italic(operators.join(" ")));
            }
            text(&mut roff, line);
            text(
                &mut roff,
                vec![roman(format!("{}. Value: {}.", capital(word.asks), word.expects))],
            );
        }
    }
    roff
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_option_command_and_predicate() {
        let page = String::from_utf8(page().unwrap()).unwrap().replace('\\', "");
        for word in words::PREDICATES.iter().flat_map(|word| word.names()) {
            assert!(page.contains(&format!("fB{word}fR")), "{word}");
        }
        for text in ["--listening", "--explain", "fBsocktrace tracefR", "SH FILTER"] {
            assert!(page.contains(text), "{text}");
        }
    }
}
