//! The page of `socktrace report`.

use super::address::inet_end;
use super::owner::Extras;
use super::time::Clock;
use super::{Object, audit, owner, service, summary};
use crate::render::counts;
use crate::render::known::Known;
use crate::render::users::HolderStyle;
use crate::report::page::Page;
use crate::report::talkers::Talker;

/// The whole page as one object, which is a line.
pub fn page(out: &mut Vec<u8>, page: &Page<'_>) {
    let mut object = Object::new(out);
    Clock::default().write(&mut object, page.host.time_unix_us);
    object.bytes("host", &page.host.name);
    object.bytes("kernel", &page.host.kernel);
    object.known("netns", page.host.netns.map(|netns| netns.0));
    object.value("version", env!("CARGO_PKG_VERSION"));
    object.value("uid", page.host.uid);
    summary::summary(&mut object, &page.summary);
    let mut states = object.array("states");
    for (group, count) in page.states.groups() {
        counts::json(&mut states.object(), group, count, &page.states, page.known.names);
    }
    drop(states);
    let mut services = object.array("listeners");
    page.services.iter().for_each(|one| service::service(&mut services.object(), one, &page.known));
    drop(services);
    let mut talkers = object.array("top_talkers");
    page.talkers.iter().for_each(|one| talker(&mut talkers.object(), one, &page.known));
    drop(talkers);
    let found = &page.audited;
    let mut text = Vec::new();
    let (watch, netns) = (found.watch, page.host.netns);
    audit::report(&mut text, &found.findings, &page.rules, watch, netns, &found.unseen);
    object.object("audit").members_of(&text);
    object.words("unseen", &page.unseen);
    drop(object);
    out.push(b'\n');
}

fn talker(object: &mut Object<'_>, talker: &Talker, known: &Known<'_>) {
    object.value("state", talker.state.name());
    inet_end(&mut object.object("local"), &talker.local);
    inet_end(&mut object.object("peer"), &talker.peer);
    object.value("cookie", talker.cookie.0);
    object.value("inode", talker.inode.0);
    object.value("uid", talker.uid);
    object.value("bytes_acked", talker.bytes_acked);
    object.value("bytes_received", talker.bytes_received);
    object.value("retrans", talker.total_retrans);
    object.value("rtt_us", talker.rtt_us);
    let extras = Extras { inner_pids: true, homes: true };
    owner::owners(object, known, [talker.inode], HolderStyle::Process, extras);
}
