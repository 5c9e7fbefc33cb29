//! docs/filter.md says what the table of words says.

use super::*;
use words::{Of, PREDICATES, Word};

const REFERENCE: &str = include_str!("../../../../docs/filter.md");

fn row(word: &Word) -> String {
    let names: Vec<String> = word.names().map(|name| format!("`{name}`")).collect();
    let operators: Vec<String> =
        word.kind.operators().symbols().iter().map(|symbol| format!("`{symbol}`")).collect();
    let of = match word.of {
        Of::Ss => "ss",
        Of::Both => "",
        Of::Events => "events",
    };
    let (names, operators) = (names.join(", "), operators.join(" "));
    let row = format!("| {names} | {operators} | {} | {} | {of} |", word.expects, word.asks);
    row.replace("  ", " ")
}

#[test]
fn every_word_stands_in_the_reference_as_it_is_and_no_other() {
    let start = REFERENCE.find("## Predicates").expect("a chapter on predicates");
    let end = REFERENCE[start..].find("## Values").expect("a chapter on values") + start;
    let documented: Vec<&str> =
        REFERENCE[start..end].lines().filter(|line| line.starts_with("| `")).collect();
    let known: Vec<String> = PREDICATES.iter().map(row).collect();
    assert_eq!(documented, known, "it should be:\n{}", known.join("\n"));
}

#[test]
fn every_example_of_the_reference_is_understood() {
    let mut examples = 0;
    for line in
        REFERENCE.lines().filter(|line| line.starts_with("| ") && line.contains("`socktrace"))
    {
        let command = line.rsplit('`').nth(1).expect("a command between backticks");
        let words = command.split_whitespace().skip_while(|word| {
            *word == "socktrace"
                || word.starts_with('-')
                || matches!(*word, "trace" | "life" | "retrans")
        });
        let filter = words.collect::<Vec<_>>().join(" ").replace('\'', "");
        parsed(&filter).unwrap_or_else(|error| panic!("{command}: {error}"));
        examples += 1;
    }
    assert!(examples > 10, "{examples}");
}
