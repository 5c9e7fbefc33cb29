//! What works on this machine for this user, what does not, why, and what would change it.
//!
//! Nothing is inferred from a version: each thing is tried for real, in a way that changes nothing
//! and is quick. Knows nothing of how a finding is printed.

mod listings;
mod privilege;
mod processes;
mod tracing;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    Listings,
    Processes,
    Tracing,
    Privilege,
}

impl Area {
    pub fn as_str(self) -> &'static str {
        match self {
            Area::Listings => "listings",
            Area::Processes => "processes",
            Area::Tracing => "tracing",
            Area::Privilege => "privilege",
        }
    }
}

/// How well it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Works,
    /// With less detail, later or slower than elsewhere; but nothing stays unseen.
    Reduced,
    /// There is nothing of the kind here, so nothing is missed.
    Absent,
    /// Part of the picture is missing.
    Limited,
    Missing,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Works => "works",
            Verdict::Reduced => "reduced",
            Verdict::Absent => "absent",
            Verdict::Limited => "limited",
            Verdict::Missing => "missing",
        }
    }

    /// Whether something that is here stays unseen.
    pub fn is_lacking(self) -> bool {
        matches!(self, Verdict::Limited | Verdict::Missing)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub area: Area,
    pub name: &'static str,
    pub verdict: Verdict,
    /// How it works, or why not.
    pub detail: String,
    /// What would change it.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(area: Area, name: &'static str, verdict: Verdict, detail: impl Into<String>) -> Finding {
        Finding { area, name, verdict, detail: detail.into(), remedy: None }
    }

    fn works(area: Area, name: &'static str, detail: impl Into<String>) -> Finding {
        Finding::new(area, name, Verdict::Works, detail)
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Tries everything.
pub fn examine() -> Vec<Finding> {
    let mut findings = listings::examine();
    findings.extend(processes::examine());
    findings.extend(tracing::examine());
    findings.extend(privilege::examine());
    findings
}
