//! Invocations that nobody wrote down: options and filters put together by chance.
//!
//! The seed is fixed, so that a failure can be looked at; `SOCKTRACE_SEED` gives another one and
//! `SOCKTRACE_CASES` more of them.

use socktrace_tests::compare::over_population;

const SEED: u64 = 0x5eed;
const CASES: u64 = 120;

const TABLES: &[&str] = &[
    "-t",
    "-t",
    "-tu",
    "-u",
    "-w",
    "-x",
    "-0",
    "-M",
    "-A inet",
    "-A tcp,raw",
    "-A all",
    "-f inet",
    "-f inet6",
    "-f netlink",
    "-A unix_stream,udp",
    "-4",
    "-6",
    "-tux",
    "",
];
const STATES: &[&str] = &["-a", "-a", "-a", "-l", "-B", ""];
const SHOWN: &[&str] = &[
    "-n",
    "-n",
    "-e",
    "-m",
    "-o",
    "-i",
    "-p",
    "-T",
    "-b",
    "-O",
    "-Q",
    "-H",
    "--tos",
    "--cgroup",
    "--inet-sockopt",
];
const STATE_WORDS: &[&str] = &[
    "state established",
    "state listening",
    "state time-wait",
    "exclude established",
    "state connected exclude close-wait",
    "state bound-inactive",
    "state unconnected",
    "exclude listening exclude bound-inactive",
    "state big",
];
/// Not `autobound`: beside `dev`, which `ss` cannot give the kernel, `ss` guesses it from the port,
/// while ours has the kernel answer.
const PREDICATES: &[&str] = &[
    "sport = :41001",
    "dport = :41001",
    "sport > :50000",
    "dport <= :41006",
    "sport != :22",
    "src 127.0.0.1",
    "dst 127.0.0.1",
    "src 127.0.7/24",
    "dst [::1]",
    "src [::ffff:127.0.0.1]",
    "src ::/0",
    "src 0.0.0.0/0",
    "src 127.0.0.1:41001",
    "dst *:41001",
    "dev lo",
    "dev = st0",
    "fwmark 0x1234",
    "fwmark = 0/0xff",
    "src = 127.0.0.1",
    "src != 127.0.0.1",
    "sport = :ssh",
    "dport geq 50060",
    "sport lt 1024",
];
const SCREENS: &[&str] = &["", "", "", "@60", "@80", "@133", "@240", "COLUMNS=90"];

/// Marsaglia's xorshift: chance that needs no crate.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    fn invocation(&mut self) -> String {
        let mut words = vec![self.of(SCREENS), self.of(TABLES), self.of(STATES)];
        for _ in 0..self.below(5) {
            words.push(self.of(SHOWN));
        }
        if self.below(3) == 0 {
            words.push(self.of(STATE_WORDS));
        }
        let mut line = words.join(" ");
        if self.below(2) == 0 {
            let depth = self.below(4);
            line.push_str(&format!(" '{}'", self.expression(depth)));
        }
        line.trim().to_owned()
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.of(PREDICATES).to_owned();
        }
        let (one, other) = (self.expression(depth - 1), self.expression(depth - 1));
        match self.below(5) {
            0 => format!("not {one}"),
            1 => format!("( {one} or {other} )"),
            2 => format!("{one} and {other}"),
            3 => format!("{one} or {other}"),
            _ => format!("! ( {one} && {other} )"),
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text}"))
    })
}

#[test]
fn invocations_by_chance() {
    let mut chance = Chance(number("SOCKTRACE_SEED", SEED).max(1));
    let cases: Vec<String> =
        (0..number("SOCKTRACE_CASES", CASES)).map(|_| chance.invocation()).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(&cases);
    });
}
