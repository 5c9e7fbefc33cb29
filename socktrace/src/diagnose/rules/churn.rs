//! Connections that are opened for a moment, again and again.

use super::ports::owners_towards;
use crate::diagnose::evidence::Destination;
use crate::diagnose::finding::{
    Finding, Owner, Severity, Sure, Table, Value, end, filter_host, grouped, named, span,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold};

pub(super) static CHURN: Rule = Rule {
    name: "churn",
    finds: "short connections to one destination that a pool would save",
    needs: Needs::SnapshotOrEvents,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "rate",
            value: 20.0,
            unit: "connections a second to one destination",
            reason: "at twenty a second, handshakes cost more than a pool would",
        },
        Threshold {
            name: "warning-rate",
            value: 400.0,
            unit: "connections a second to one destination",
            reason: "28,232 ephemeral ports, each held by TIME-WAIT for 60 s, are gone at 470 a second",
        },
        Threshold {
            name: "least",
            value: 50.0,
            unit: "connections",
            reason: "a few within a moment are no rate",
        },
        Threshold {
            name: "lifetime",
            value: 1.0,
            unit: "seconds that they live on average",
            reason: "longer ones are sessions",
        },
    ],
    why: "Each connection costs a handshake, slow start, a TIME-WAIT, and with TLS far more.",
    advice: &["Keep connections: a pool in the client, keep-alive at both ends."],
    judge: churn,
};

fn churn(case: &Case<'_>) -> Vec<Finding> {
    match &case.evidence.traced {
        Some(traced) => {
            let short = |churn: &&crate::diagnose::evidence::Churn| {
                churn.count > 0
                    && churn.lived.as_secs_f64() / churn.count as f64 <= case.limit("lifetime")
            };
            traced
                .churn
                .iter()
                .filter(short)
                .filter_map(|churn| {
                    let rate = case.per_second(churn.count);
                    let who: Vec<Owner> = churn.worker.iter().map(Owner::from).collect();
                    let lived = churn.lived.as_secs_f64() * 1000.0 / churn.count as f64;
                    let life = format!("each for {} on average", span(lived as u64));
                    let because = "each connection was seen from its beginning to its end";
                    let place = Place { peer: churn.peer, who, sure: Sure::Certain, because };
                    judge_rate(case, place, rate, churn.count, &life)
                })
                .collect()
        }
        None => case.evidence.destinations.iter().filter_map(|d| from_time_wait(case, d)).collect(),
    }
}

/// Each connection that this side closed is in TIME-WAIT for a minute, with its time.
fn from_time_wait(case: &Case<'_>, destination: &Destination) -> Option<Finding> {
    let rate = f64::from(destination.time_wait_recent) / 10.0;
    let place = Place {
        peer: destination.peer,
        who: owners_towards(case.evidence, destination),
        sure: Sure::Likely,
        because: "counted from the TIME-WAITs of the last ten seconds; how long each connection \
                  lived is not known",
    };
    judge_rate(case, place, rate, destination.time_wait_recent.into(), "closed from here")
}

struct Place {
    peer: crate::socket::InetEnd,
    who: Vec<Owner>,
    sure: Sure,
    because: &'static str,
}

fn judge_rate(case: &Case<'_>, place: Place, rate: f64, count: u64, life: &str) -> Option<Finding> {
    let severity = match rate {
        _ if (count as f64) < case.limit("least") => return None,
        _ if rate >= case.limit("warning-rate") => Severity::Warning,
        _ if rate >= case.limit("rate") => Severity::Note,
        _ => return None,
    };
    // Where TIME-WAIT gives its port back, no rate makes ports run out.
    let reuses = case.evidence.settings.reuses_time_wait(place.peer.addr, place.peer.addr);
    let severity = if reuses { Severity::Note } else { severity };
    let mut finding = case.finding(
        severity,
        format!(
            "{} opens {} connections a second to {}, {life}",
            named(&place.who),
            grouped(rate as u64),
            end(place.peer)
        ),
    );
    finding.weight = count;
    (finding.sure, finding.because) = (place.sure, place.because.to_owned());
    let row =
        vec![place.peer.into(), count.into(), Value::Number(rate as u64), Value::Owners(place.who)];
    finding.evidence = Table::new(&["peer", "count", "per_second", "owners"], vec![row]);
    finding.command = format!(
        "socktrace states -a --by process,state 'dst = {}:{}'",
        filter_host(place.peer.addr),
        place.peer.port
    );
    Some(finding)
}
