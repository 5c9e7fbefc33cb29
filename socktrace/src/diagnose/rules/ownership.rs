//! Listeners whose owner is not what one would expect.

use crate::diagnose::evidence::Executable;
use crate::diagnose::finding::{
    Finding, Owner, Severity, Sure, Table, Value, counted, end, named, owners,
};
use crate::diagnose::rule::{Case, Needs, Of, Rule, Threshold};

pub(super) static DELETED_EXECUTABLE: Rule = Rule {
    name: "deleted-executable",
    finds: "a listener whose program is no longer on disk",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[],
    why: "After an upgrade the old code, with its holes, runs on. A program that is nowhere on disk \
          cannot be restarted, and nobody can look at it: malware hides so too.",
    advice: &[
        "Replaced: restart the service. Removed or in memory only: find out what it is before \
               you stop it (/proc/PID/exe still is the program).",
    ],
    judge: deleted_executable,
};

fn deleted_executable(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    let mut findings: Vec<Finding> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for listener in evidence.listeners() {
        for process in evidence.processes.of(listener.inode) {
            let (severity, how, path) = match &process.executable {
                Executable::Replaced(path) => (Severity::Note, "was replaced on disk", path),
                Executable::Removed(path) => (Severity::Warning, "is no longer on disk", path),
                Executable::InMemory(path) => (Severity::Warning, "never was on disk", path),
                Executable::Unknown | Executable::Present => continue,
            };
            if !seen.insert(process.pid) {
                continue;
            }
            let who = vec![Owner::from(process)];
            let place = end(listener.local);
            let what = format!("{} listens on {place} with a program that {how}", named(&who));
            let mut finding = case.finding(severity, what);
            finding.because = "the link /proc/PID/exe says so".to_owned();
            let row = vec![listener.local.into(), printable(path).into(), Value::Owners(who)];
            finding.evidence = Table::new(&["local", "executable", "owners"], vec![row]);
            finding.command = format!("ls -l /proc/{}/exe", process.pid);
            findings.push(finding);
        }
    }
    findings
}

fn printable(path: &str) -> String {
    path.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

pub(super) static UNOWNED_LISTENER: Rule = Rule {
    name: "unowned-listener",
    finds: "a listener that no process has",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[Threshold {
        name: "refused",
        value: 3.0,
        unit: "processes at most that could not be looked into",
        reason: "root may look into all but a few; to others most owners are hidden",
    }],
    why: "The kernel itself listens (NFS, for example), or the process is hidden from this one: in \
          another PID namespace, or by something that hides processes.",
    advice: &[
        "`rpcinfo -p` and `lsmod` tell what the kernel serves. If that is not it, look from the \
               host's own PID namespace.",
    ],
    judge: unowned_listener,
};

fn unowned_listener(case: &Case<'_>) -> Vec<Finding> {
    let evidence = case.evidence;
    // To whoever may not look into the processes, all listeners look so.
    let refused = evidence.processes.refused;
    if f64::from(refused) > case.limit("refused") || evidence.processes.holders.is_empty() {
        return Vec::new();
    }
    let unowned = evidence
        .listeners()
        .filter(|listener| evidence.processes.first_of(listener.inode).is_none());
    unowned
        .map(|listener| {
            let place = end(listener.local);
            let mut finding =
                case.finding(Severity::Note, format!("no process has the listener on {place}"));
            (finding.sure, finding.because) = match refused {
                0 => (
                    Sure::Likely,
                    "all processes were looked into, but one may have been opened meanwhile"
                        .to_owned(),
                ),
                _ => (
                    Sure::Possible,
                    format!("{} could not be looked into", counted(refused, "process")),
                ),
            };
            let row = vec![listener.local.into(), listener.uid.into()];
            finding.evidence = Table::new(&["local", "uid"], vec![row]);
            finding.command = format!("socktrace -tlnpe 'sport = :{}'", listener.local.port);
            finding
        })
        .collect()
}

pub(super) static LISTENER_UID: Rule = Rule {
    name: "listener-uid",
    finds: "a port of the system that is served by a user who logs in",
    needs: Needs::Snapshot,
    of: Of::Namespace,
    thresholds: &[
        Threshold {
            name: "first-user",
            value: 1000.0,
            unit: "the first uid of people",
            reason: "UID_MIN of login.defs; services have lower ones",
        },
        Threshold {
            name: "last-port",
            value: 1023.0,
            unit: "the last port of the system",
            reason: "only a privilege, or ip_unprivileged_port_start, allows them to a user",
        },
    ],
    why: "Clients take what answers on such a port for a service of the system.",
    advice: &[
        "Fine for a developer's machine and in containers; elsewhere find out who started it.",
    ],
    judge: listener_uid,
};

fn listener_uid(case: &Case<'_>) -> Vec<Finding> {
    /// The user that stands for nobody, and those beyond it, which containers use.
    const NOBODY: u32 = 65534;
    let evidence = case.evidence;
    let unexpected = evidence.listeners().filter(|listener| {
        f64::from(listener.local.port) <= case.limit("last-port")
            && f64::from(listener.uid) >= case.limit("first-user")
            && listener.uid < NOBODY
    });
    unexpected
        .map(|listener| {
            let who = owners(evidence, listener.inode);
            let mut finding = case.finding(
                Severity::Note,
                format!("{} serves {} as user {}", named(&who), end(listener.local), listener.uid),
            );
            finding.sure = Sure::Possible;
            finding.because =
                "the kernel tells the user of each socket; whether it should be that \
                               user, only you know"
                    .to_owned();
            let row = vec![listener.local.into(), listener.uid.into(), Value::Owners(who)];
            finding.evidence = Table::new(&["local", "uid", "owners"], vec![row]);
            finding.command = format!("socktrace -tlnpe 'sport = :{}'", listener.local.port);
            finding
        })
        .collect()
}
