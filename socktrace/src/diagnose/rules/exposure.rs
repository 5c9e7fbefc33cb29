//! Listeners on the wrong address: too few can reach them, or too many.

use std::net::IpAddr;

use super::connects::workers;
use crate::diagnose::evidence::{ConnectError, Evidence, Tcp, Traced};
use crate::diagnose::finding::{
    Finding, Severity, Sure, Table, Value, counted, end, named, owners,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold};
use crate::socket::InetEnd;

pub(super) static LOOPBACK_ONLY: Rule = Rule {
    name: "loopback-only",
    finds: "a service that listens on loopback only, while others ask for it elsewhere",
    needs: Needs::Tracing,
    of: Of::Namespace,
    thresholds: &[Threshold {
        name: "refused",
        value: 1.0,
        unit: "refused connects while it was watched",
        reason: "there is no reason to ask for a port of this host on which only loopback is served",
    }],
    why: "The service runs, local checks pass, and everybody else is refused.",
    advice: &[
        "Let the service listen on the address that is asked for (often its setting is called \
         bind, listen or host), or on 0.0.0.0 and [::] if a filter guards it.",
    ],
    judge: loopback_only,
};

/// The listener on loopback that would serve `asked`, an address of this host's own, if nothing
/// else does.
pub(super) fn loopback_listener_for(evidence: &Evidence, asked: InetEnd) -> Option<&Tcp> {
    let addr = asked.addr.to_canonical();
    if addr.is_loopback() || !evidence.is_local(addr) {
        return None;
    }
    let serves = |listener: &Tcp| {
        let own = listener.local.addr.to_canonical();
        own == addr || own.is_unspecified()
    };
    let same_port = || evidence.listeners().filter(|listener| listener.local.port == asked.port);
    let found = same_port().find(|listener| is_loopback(listener))?;
    (!same_port().any(serves)).then_some(found)
}

fn is_loopback(listener: &Tcp) -> bool {
    listener.local.addr.to_canonical().is_loopback()
}

fn loopback_only(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let Some(traced) = &evidence.traced else { return Vec::new() };
    let mut findings = Vec::new();
    for listener in evidence.listeners().filter(|listener| is_loopback(listener)) {
        let is_for = |asked: InetEnd| {
            loopback_listener_for(evidence, asked)
                .is_some_and(|found| found.cookie == listener.cookie)
        };
        let failed: Vec<_> = traced
            .failed_connects
            .iter()
            .filter(|failed| failed.error == ConnectError::Refused && is_for(failed.peer))
            .filter(|failed| failed.is_here || was_reset_here(traced, failed.peer))
            .collect();
        let resets: Vec<_> = traced
            .resets
            .iter()
            .filter(|reset| reset.is_refusal && reset.is_sent && is_for(reset.local))
            .collect();
        // A client on this host is seen at both ends. One in another namespace may have asked a
        // third, which has the same address.
        let here = failed.iter().filter(|failed| failed.is_here);
        let refused = (here.map(|failed| failed.count).sum::<u64>())
            .max(resets.iter().map(|reset| reset.count).sum());
        if (refused as f64) < case.limit("refused").max(1.0) {
            continue;
        }
        let asked = failed.first().map(|f| f.peer).or(resets.first().map(|r| r.local));
        let Some(asked) = asked else { continue };
        let who = owners(evidence, listener.inode);
        let mut finding = case.finding(
            Severity::Critical,
            format!(
                "{} listens on {} only; {} to {} refused",
                named(&who),
                end(listener.local),
                counted(refused, "connect"),
                end(asked)
            ),
        );
        finding.weight = refused;
        finding.because =
            "the refusals were seen in the kernel, and no other socket listens on this port"
                .to_owned();
        let mut rows: Vec<Vec<Value>> = failed
            .iter()
            .map(|failed| {
                let client = workers(&[failed]);
                vec![failed.peer.into(), Value::None, failed.count.into(), Value::Owners(client)]
            })
            .collect();
        rows.extend(resets.iter().map(|reset| {
            let client = reset.peer.to_string();
            vec![reset.local.into(), client.into(), reset.count.into(), Value::None]
        }));
        finding.evidence = Table::new(&["asked", "client_addr", "refused", "owners"], rows);
        finding.command = format!("socktrace -tlnp 'sport = :{}'", listener.local.port);
        findings.push(finding);
    }
    findings
}

/// Whether this namespace refused such a connect: another may have the same address.
fn was_reset_here(traced: &Traced, asked: InetEnd) -> bool {
    traced.resets.iter().any(|reset| reset.is_refusal && reset.is_sent && reset.local == asked)
}

/// What is usually not for everybody.
struct Private {
    port: u16,
    service: &'static str,
    access: Access,
}

#[derive(PartialEq, Eq)]
enum Access {
    /// Whoever connects may do everything, unless it was configured otherwise.
    Open,
    Password,
}

const PRIVATE: &[Private] = &[
    Private { port: 2375, service: "Docker without TLS", access: Access::Open },
    Private { port: 2379, service: "etcd", access: Access::Open },
    Private { port: 5005, service: "the Java debugger", access: Access::Open },
    Private { port: 6379, service: "Redis", access: Access::Open },
    Private { port: 9200, service: "Elasticsearch", access: Access::Open },
    Private { port: 9229, service: "the Node.js debugger", access: Access::Open },
    Private { port: 11211, service: "memcached", access: Access::Open },
    Private { port: 27017, service: "MongoDB", access: Access::Open },
    Private { port: 1433, service: "SQL Server", access: Access::Password },
    Private { port: 1521, service: "Oracle", access: Access::Password },
    Private { port: 3306, service: "MySQL", access: Access::Password },
    Private { port: 5432, service: "PostgreSQL", access: Access::Password },
    Private { port: 5672, service: "RabbitMQ", access: Access::Password },
    Private { port: 5984, service: "CouchDB", access: Access::Password },
    Private { port: 8086, service: "InfluxDB", access: Access::Password },
    Private { port: 9042, service: "Cassandra", access: Access::Password },
];

pub(super) static EXPOSED: Rule = Rule {
    name: "exposed",
    finds: "a database or debugger that listens on every address",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[Threshold {
        name: "public-addresses",
        value: 1.0,
        unit: "addresses that the whole Internet can reach",
        reason: "without one, a service with a password is guarded by its network as well",
    }],
    why: "Such services are made for trusted networks: those that ask for no password are found and \
          emptied within hours of being reachable.",
    advice: &[
        "Let it listen on loopback or on the address of the inner network only; else filter the \
         port. Whether a filter does so already cannot be seen from the sockets.",
    ],
    judge: exposed,
};

fn is_public(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || v4.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(v6) => {
            v6.segments()[0] & 0xe000 == 0x2000 && v6.segments()[..2] != [0x2001, 0xdb8]
        }
    }
}

fn exposed(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let public: Vec<_> = evidence.addresses.iter().filter(|own| is_public(own.addr)).collect();
    let others = evidence.addresses.iter().filter(|own| !own.addr.is_loopback()).count();
    if others == 0 {
        return Vec::new();
    }
    let is_public = public.len() as f64 >= case.limit("public-addresses");
    let everywhere =
        evidence.listeners().filter(|listener| listener.local.addr.to_canonical().is_unspecified());
    let mut seen = std::collections::BTreeSet::new();
    everywhere
        .filter_map(|listener| {
            let private = PRIVATE.iter().find(|private| private.port == listener.local.port)?;
            let who = owners(evidence, listener.inode);
            // IPv4 and IPv6 are two sockets, and one finding.
            if !seen.insert((private.port, who.first().map(|owner| owner.pid))) {
                return None;
            }
            let severity = match (&private.access, is_public) {
                (Access::Open, _) | (_, true) => Severity::Warning,
                (Access::Password, false) => Severity::Note,
            };
            let mut finding = case.finding(
                severity,
                format!(
                    "{} listens on every address ({}), a port of {}{}",
                    named(&who),
                    end(listener.local),
                    private.service,
                    if is_public { ", and this host has a public address" } else { "" }
                ),
            );
            (finding.sure, finding.because) = (
                Sure::Possible,
                "the port is that of such a service, and a filter may guard it".to_owned(),
            );
            let row = vec![listener.local.into(), private.service.into(), Value::Owners(who)];
            finding.evidence = Table::new(&["local", "service", "owners"], vec![row]);
            finding.command = format!("socktrace -tlnp 'sport = :{}'", private.port);
            Some(finding)
        })
        .collect()
}
