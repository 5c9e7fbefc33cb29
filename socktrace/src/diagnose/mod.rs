//! What is wrong: evidence is gathered once, rules judge it, findings come out, the worst first.
//!
//! [`gather`] asks the kernel and fills [`evidence`]; [`rules`] are pure functions over it, listed
//! in one table. Nothing here knows of options or of output.

pub mod evidence;
pub mod finding;
pub mod gather;
pub mod rule;
pub mod rules;

use evidence::Evidence;
use finding::Finding;
use rule::{Case, Overrides, Rule};

/// Has each rule judge. The most severe finding is first; of equally severe ones, that of the rule
/// that is first in the table, which is ordered from causes to what follows from them.
pub fn judge(rules: &[&'static Rule], overrides: &Overrides, evidence: &Evidence) -> Vec<Finding> {
    let mut findings: Vec<(usize, Finding)> = Vec::new();
    for (place, &rule) in rules.iter().enumerate() {
        let case = Case { evidence, rule, overrides };
        findings.extend((rule.judge)(&case).into_iter().map(|finding| (place, finding)));
    }
    findings.sort_by(|(a_place, a), (b_place, b)| {
        (b.severity, a_place, b.weight).cmp(&(a.severity, b_place, a.weight))
    });
    findings.into_iter().map(|(_, finding)| finding).collect()
}
