//! Columns, widths and line breaks on terminals and off them, as `ss` lays them out.

use socktrace_tests::compare::over_population;

/// What is laid out differently: few and many columns, long and short fields, several lines.
const LISTINGS: &[&str] = &[
    "",
    "-tan",
    "-ta",
    "-tane",
    "-tani",
    "-tanp",
    "-tanemio",
    "-tanemioO",
    "-tanpT",
    "-tanQ",
    "-tanH",
    "-tan --tos --cgroup",
    "-tan --inet-sockopt",
    "-uan",
    "-tuwanp",
    "-xa",
    "-xape",
    "-0abe",
    "-f netlink -a",
    "-Mani",
    "-an",
    "-anpe",
    "-lnp",
    "-s",
    "-tan state established",
    "-tanO state listening",
    "-tn state time-wait -o",
];

fn check(before: &str) {
    let table: Vec<String> = LISTINGS.iter().map(|listing| format!("{before} {listing}")).collect();
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(&table);
    });
}

#[test]
fn on_a_terminal_40_wide() {
    check("@40");
}

#[test]
fn on_a_terminal_80_wide() {
    check("@80");
}

#[test]
fn on_a_terminal_120_wide() {
    check("@120");
}

#[test]
fn on_a_terminal_200_wide() {
    check("@200");
}

#[test]
fn off_a_terminal_with_columns() {
    check("COLUMNS=100");
}

#[test]
fn odd_widths() {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(&[
            "@1 -tan",
            "@2 -tanp",
            "@10 -tanei",
            "@20 -xa",
            "@79 -tane",
            "@81 -tane",
            "@133 -anpe",
            "@500 -anpe",
            "@1000 -tanemioO",
            "@0 -tan",
            "COLUMNS=1 -tan",
            "COLUMNS=0 -tan",
            "COLUMNS= -tan",
            "COLUMNS=-5 -tan",
            "COLUMNS=wide -tan",
            "COLUMNS=80x -tan",
            "COLUMNS=5000 -tan",
            "COLUMNS=40 -tanemioO",
            "COLUMNS=60 -xape",
            "@80 COLUMNS=200 -tan",
            "@0 COLUMNS=90 -tan",
            "@200 COLUMNS=40 -tanei",
        ]);
    });
}
