//! Findings as text and as JSON.

use crate::doctor::Finding;
use crate::render::json::{Array, Object};

/// A line per finding below the name of its area, and what would change it on a line of its own.
pub fn text(out: &mut Vec<u8>, findings: &[Finding]) {
    let mut area = None;
    for finding in findings {
        if area != Some(finding.area) {
            area = Some(finding.area);
            out.extend_from_slice(finding.area.as_str().as_bytes());
            out.push(b'\n');
        }
        let line =
            format!("  {:<8} {:<19} {}\n", finding.verdict.as_str(), finding.name, finding.detail);
        out.extend_from_slice(line.as_bytes());
        if let Some(remedy) = &finding.remedy {
            out.extend_from_slice(format!("{:<30} -> {remedy}\n", "").as_bytes());
        }
    }
}

/// One array of objects.
pub fn json(out: &mut Vec<u8>, findings: &[Finding]) {
    let mut array = Array::new(out);
    for finding in findings {
        let mut object: Object<'_> = array.object();
        object.value("area", finding.area.as_str());
        object.value("name", finding.name);
        object.value("verdict", finding.verdict.as_str());
        object.value("detail", &finding.detail);
        object.known("remedy", finding.remedy.as_ref());
    }
    drop(array);
    out.push(b'\n');
}
