//! The counts of `-s`.

use super::write::Object;
use crate::procfs::summary::{Counts, Summary};

/// `summary`: the counters of the kernel, and the two that the text makes of them.
pub(super) fn summary(object: &mut Object<'_>, summary: &Summary) {
    let mut object = object.object("summary");
    object.value("sockets", summary.sockets);
    {
        let mut tcp = object.object("tcp");
        tcp.value("total", summary.tcp_total());
        tcp.value("established", summary.tcp.established);
        tcp.value("closed", summary.tcp_closed());
        tcp.value("orphaned", summary.tcp.orphaned);
        tcp.value("time_wait", summary.tcp.time_wait);
    }
    counts(&mut object.object("inet"), &summary.v4);
    counts(&mut object.object("inet6"), &summary.v6);
}

fn counts(object: &mut Object<'_>, counts: &Counts) {
    object.value("raw", counts.raw);
    object.value("udp", counts.udp);
    object.value("tcp", counts.tcp);
    object.value("fragments", counts.fragments);
}
