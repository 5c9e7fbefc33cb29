//! What a listing would ask of whom, in place of the listing.

use std::io::Write;

use anyhow::{Context, Result};

use crate::cli::plan::Plan;
use crate::filter::{Explained, Expr, Verdict, words};
use crate::socket::{State, TableSet};

/// Writes which states and tables are asked for, and where each part of the filter is judged.
pub(super) fn explain(plan: &Plan, expr: Option<&Expr>, out: &mut dyn Write) -> Result<()> {
    let mut text = String::new();
    let states: Vec<&str> = plan
        .select
        .states
        .iter()
        .filter(|state| !matches!(state, State::Unknown | State::NewSynRecv))
        .map(|state| match state {
            State::BoundInactive => "bound-inactive",
            state => state.name(),
        })
        .collect();
    text.push_str(&format!("states: {}\n", states.join(" ")));
    let listed =
        plan.select.tables.iter().filter(|t| t.families().intersects(plan.select.families));
    let (possible, impossible): (Vec<_>, Vec<_>) =
        listed.partition(|table| expr.is_none_or(|e| e.in_table(*table) != Verdict::Known(false)));
    let tables = TableSet::of(&possible);
    let names = |tables: Vec<_>| {
        let names: Vec<_> =
            tables.into_iter().map(|table| words::name_of_tables(TableSet::of(&[table]))).collect();
        names.join(" ")
    };
    text.push_str(&format!("tables: {}\n", names(possible)));
    if !impossible.is_empty() {
        text.push_str(&format!("not asked, as nothing in them can match: {}\n", names(impossible)));
    }
    if let Some(expr) = expr {
        // What the states that are asked for decide is not judged again.
        match expr.in_states(plan.select.states) {
            Verdict::Open(left) => {
                text.push_str(&format!("\n{}", Explained { expr: &left, tables }));
            }
            Verdict::Known(true) => text.push_str("\nThe states decide all of it.\n"),
            Verdict::Known(false) => text.push_str("\nNo socket in these states can match.\n"),
        }
    }
    out.write_all(text.as_bytes()).context("cannot write")
}
